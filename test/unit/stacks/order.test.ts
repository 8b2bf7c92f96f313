import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderForApply, orderForDelete } from '../../../src/stacks/order.ts';
import type { StackRef } from '../../../src/stacks/types.ts';

const ref = (apiVersion: string, kind: string, name = 'x'): StackRef => ({
  apiVersion,
  kind,
  name,
});
const order = (refs: readonly StackRef[]) =>
  orderForApply(refs.map((each) => ({ ref: each }))).map((object) => object.ref);

const wanted = [
  ref('apiextensions.k8s.io/v1', 'CustomResourceDefinition'),
  ref('v1', 'Namespace'),
  ref('v1', 'ServiceAccount'),
  ref('rbac.authorization.k8s.io/v1', 'ClusterRole'),
  ref('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding'),
  ref('v1', 'ConfigMap'),
  ref('v1', 'Service'),
  ref('apps/v1', 'Deployment'),
  ref('cert-manager.io/v1', 'Issuer'),
  ref('admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration'),
];

describe('order', () => {
  it('puts what others need first, whatever the order of the files', () => {
    const shuffled = fc.shuffledSubarray(wanted, { minLength: wanted.length });
    fc.assert(
      fc.property(shuffled, (refs) => {
        expect(order(refs)).toEqual(wanted);
      }),
    );
  });

  it('deletes in reverse', () => {
    expect(orderForDelete(wanted)).toEqual(wanted.toReversed());
  });

  it('keeps the order of objects of one kind', () => {
    const refs = ['c', 'a', 'b'].map((name) => ref('v1', 'ConfigMap', name));
    expect(order(refs)).toEqual(refs);
  });

  it('does not take a custom kind for the built-in one of the same name', () => {
    const custom = ref('traffic.example/v1', 'Service');
    const deployment = ref('apps/v1', 'Deployment');
    expect(order([custom, deployment])).toEqual([deployment, custom]);
  });
});
