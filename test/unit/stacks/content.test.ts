import { expect, test } from 'vitest';
import type { KubeObject } from '../../../src/kube-client/types.ts';
import { hasSameContent } from '../../../src/stacks/content.ts';

const object: KubeObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: 'settings',
    labels: { app: 'web' },
    resourceVersion: '7',
    generation: 1,
    managedFields: [{ manager: 'mini-k8s' }],
  },
  data: { color: 'red', size: '1' },
  status: { ready: false },
};
const withMetadata = (change: Partial<KubeObject['metadata']>): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, ...change },
});

test.each<[string, KubeObject]>([
  ['the version', withMetadata({ resourceVersion: '8', generation: 2 })],
  ['who wrote what', withMetadata({ managedFields: [] })],
  ['the status', { ...object, status: { ready: true } }],
  ['the order of fields', { ...object, data: { size: '1', color: 'red' } }],
])('%s is no content', (_name, other) => {
  expect(hasSameContent(object, other)).toBe(true);
});

test.each<[string, KubeObject]>([
  ['a value', { ...object, data: { color: 'blue', size: '1' } }],
  ['a field that is gone', { ...object, data: { color: 'red' } }],
  ['a label', withMetadata({ labels: { app: 'shop' } })],
  ['an annotation', withMetadata({ annotations: { note: 'x' } })],
])('%s is content', (_name, other) => {
  expect(hasSameContent(object, other)).toBe(false);
});
