import { expect, test } from 'vitest';
import { takeMarker, withoutToken } from '../../../src/cli/start-anew.ts';

test.each([
  [
    ['worker', '--token', 'mk1.w.a', '--debug'],
    ['worker', '--debug'],
  ],
  [
    ['worker', '--token=mk1.w.a', '--node-name', 'a'],
    ['worker', '--node-name', 'a'],
  ],
  [
    ['--data-dir', '/d', 'worker', '--token-file', 'token'],
    ['--data-dir', '/d', 'worker'],
  ],
  [['worker', '--token-file=/run/token'], ['worker']],
  [['worker', '--token', '-'], ['worker']],
  [
    ['worker', '--trust-bundle', 'abc'],
    ['worker', '--trust-bundle', 'abc'],
  ],
])('%j is started anew as %j', (args, wanted) => {
  expect(withoutToken(args)).toEqual(wanted);
});

test('it happens once, and children do not learn of it', () => {
  const env: Record<string, string | undefined> = { MINI_K8S_STARTED_ANEW: '1', HOME: '/root' };
  expect([takeMarker(env), takeMarker(env)]).toEqual([true, false]);
  expect(env).toEqual({ HOME: '/root' });
});
