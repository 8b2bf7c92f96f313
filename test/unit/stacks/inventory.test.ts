import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeInventory,
  encodeInventory,
  isSameRefs,
  unionRefs,
} from '../../../src/stacks/inventory.ts';
import { refKey } from '../../../src/stacks/refs.ts';
import type { StackRef } from '../../../src/stacks/types.ts';

const name = fc.stringMatching(/^[a-z0-9.:]{1,12}$/);
const ref: fc.Arbitrary<StackRef> = fc.record(
  {
    apiVersion: fc.constantFrom('v1', 'apps/v1', 'apps/v2', 'a.example/v1'),
    kind: fc.constantFrom('ConfigMap', 'Deployment'),
    name,
    namespace: name,
  },
  { requiredKeys: ['apiVersion', 'kind', 'name'] },
);
const refs = fc.uniqueArray(ref, { selector: refKey });

describe('inventory', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(refs, (list) => {
        const inventory = { name: 'app', origin: 'user', refs: list } as const;
        const decoded = decodeInventory(encodeInventory(inventory));
        expect(decoded?.origin).toBe('user');
        expect(isSameRefs(decoded?.refs ?? [], list)).toBe(true);
      }),
    );
  });

  it('is the same text for the same objects in any order', () => {
    fc.assert(
      fc.property(refs, (list) => {
        const encode = (each: readonly StackRef[]) =>
          encodeInventory({ name: 'app', origin: 'user', refs: each });
        expect(encode(list.toReversed())).toEqual(encode(list));
      }),
    );
  });

  it.each([
    ['no data', { data: undefined }],
    ['cut text', { data: { origin: 'user', objects: '[{"apiVersion"' } }],
    ['no list', { data: { origin: 'user', objects: '{}' } }],
    [
      'a reference without a name',
      { data: { origin: 'user', objects: '[{"apiVersion":"v1","kind":"A"}]' } },
    ],
    ['an unknown origin', { data: { origin: 'other', objects: '[]' } }],
  ])('is not read from a ConfigMap with %s', (_what, change) => {
    const encoded = encodeInventory({ name: 'app', origin: 'user', refs: [] });
    expect(decodeInventory(encoded)).toBeDefined();
    expect(decodeInventory({ ...encoded, ...change })).toBeUndefined();
  });

  it('does not believe a label that names another stack than the ConfigMap', () => {
    const encoded = encodeInventory({ name: 'app', origin: 'user', refs: [] });
    const labels = { 'mini-k8s.io/stack-inventory': 'other' };
    expect(
      decodeInventory({ ...encoded, metadata: { ...encoded.metadata, labels } }),
    ).toBeUndefined();
  });

  it('unites with the new version of an object', () => {
    const old: StackRef = { apiVersion: 'apps/v1beta1', kind: 'Deployment', name: 'a' };
    const now: StackRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'a' };
    expect(unionRefs([old], [now])).toEqual([now]);
  });
});
