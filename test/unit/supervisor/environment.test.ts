import { expect, test } from 'vitest';
import { childEnvironment, systemPath } from '../../../src/supervisor/environment.ts';

test('a child gets PATH, HOME, its own variables and the markers, and nothing else', () => {
  expect(childEnvironment({ name: 'etcd', instance: '/data', env: { GOGC: '25' } })).toEqual({
    PATH: systemPath,
    HOME: '/root',
    GOGC: '25',
    MINI_K8S_COMPONENT: 'etcd',
    MINI_K8S_INSTANCE: '/data',
  });
});

test('a spec may replace PATH, but not pose as another component', () => {
  const env = { PATH: '/opt', MINI_K8S_COMPONENT: 'other', MINI_K8S_INSTANCE: '/other' };
  expect(childEnvironment({ name: 'etcd', instance: '/data', env })).toMatchObject({
    PATH: '/opt',
    MINI_K8S_COMPONENT: 'etcd',
    MINI_K8S_INSTANCE: '/data',
  });
});
