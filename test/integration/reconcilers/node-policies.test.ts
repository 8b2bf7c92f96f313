import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createJoinRecords } from '../../../src/join/join-records.ts';
import { KubeApiError } from '../../../src/kube-client/errors.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import {
  endpointSliceResource,
  nodeResource,
  podResource,
} from '../../../src/reconcilers/resources.ts';
import { object, startCluster, type TestCluster } from './cluster.ts';

/** What the packaged policies and bindings let a kubelet do, and what not. */
let cluster: TestCluster;
let admin: KubeClient;
let edge: KubeClient;
const ref = { resource: nodeResource, name: 'edge-1' };
const register = (spec = {}) => edge.create({ ...object('v1', 'Node', { name: 'edge-1' }), spec });

beforeAll(async () => {
  cluster = await startCluster();
  ({ admin } = cluster);
  edge = await cluster.kubelet('edge-1');
  // The API server compiles policies a moment after they were written.
  await waitUntilRefused({ podCIDR: '10.244.9.0/24' });
});

afterAll(() => cluster?.stop());

describe('a kubelet', () => {
  it('registers its node', async () => {
    await register();
    expect(await admin.get(ref)).toBeDefined();
  });

  it('registers again after its Node was deleted, as long as it is not removed', async () => {
    await admin.delete(ref);
    await register();
  });

  it('may not choose its own pod network, first or later', async () => {
    await admin.delete(ref);
    const why = 'a kubelet may not choose the pod network of its node';
    const podCIDRs = ['10.244.0.0/24'];
    expect(await refusal(() => register({ podCIDRs, podCIDR: podCIDRs[0] }))).toContain(why);
    await register();
    const choose = { spec: { podCIDRs, podCIDR: podCIDRs[0] } };
    expect(await refusal(() => edge.patch(ref, choose, { type: 'merge' }))).toContain(why);
    await admin.patch(ref, choose, { type: 'merge' });
    await edge.patch(ref, { metadata: { annotations: { a: 'b' } } }, { type: 'merge' });
  });

  it('does not register again once its node was removed, until a fresh token clears that', async () => {
    const records = createJoinRecords(admin);
    await records.markRemoved('edge-1', Date.now());
    await records.markRemoved('edge-9', Date.now());
    await admin.delete(ref);
    expect(await waitUntilRefused({})).toContain(
      'node edge-1 was removed from the cluster: it has to join again with a fresh token',
    );
    const other = await cluster.kubelet('edge-2');
    await other.create(object('v1', 'Node', { name: 'edge-2' }));
    await records.update('edge-1', (current) => {
      if (current === undefined) return undefined;
      const { removedAt: _cleared, ...rest } = current;
      return rest;
    });
    await waitFor(async () => (await refusal(() => register())) === undefined, {
      subject: 'edge-1 to be let in',
      timeoutMs: 60_000,
    });
  });

  it('is no obstacle to others: an administrator and a controller create any Node', async () => {
    await createJoinRecords(admin).markRemoved('edge-5', Date.now());
    await admin.create({
      ...object('v1', 'Node', { name: 'edge-5' }),
      spec: { podCIDR: '10.244.5.0/24', podCIDRs: ['10.244.5.0/24'] },
    });
  });

  it('reads what kube-proxy and the agent need, and no pods of others', async () => {
    expect((await edge.list(endpointSliceResource)).items).toEqual([]);
    await edge.list(podResource, { fieldSelector: 'spec.nodeName=edge-1' });
    expect(await refusal(() => edge.list(podResource))).toContain('forbidden');
    const own = await edge.list(nodeResource, { fieldSelector: 'metadata.name=edge-1' });
    expect(own.items).toHaveLength(1);
  });
});

/** The reason, as soon as there is one. */
function waitUntilRefused(spec: object): Promise<string> {
  return waitFor(
    async () => {
      const seen = await refusal(() => register(spec));
      if (seen === undefined) await admin.delete(ref);
      return seen;
    },
    { subject: 'the policy to be in force', timeoutMs: 30_000 },
  );
}

/** Undefined when the call is let through. */
async function refusal(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    if (error instanceof KubeApiError && error.code === 403) return error.message;
    throw error;
  }
}
