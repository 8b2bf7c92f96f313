import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../../src/kube-client/types.ts';
import { runClusterRoutes } from '../../../src/reconcilers/cluster-routes.ts';
import { createPodNodeFinder } from '../../../src/reconcilers/find-pod-nodes.ts';
import {
  endpointSliceResource,
  nodeResource,
  podResource,
} from '../../../src/reconcilers/resources.ts';
import { type ClusterRoutes, createClusterRoutes } from '../../../src/tunnel/route-cluster.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const eventResource: ResourceType = {
  apiVersion: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};
const abort = new AbortController();
const deleted: string[] = [];
const warnings: string[] = [];
let cluster: TestCluster;
let admin: KubeClient;
let routes: ClusterRoutes;
let loop: Promise<void>;

const addresses = (address: string, hostname: string) => ({
  addresses: [
    { type: 'InternalIP', address },
    { type: 'Hostname', address: hostname },
  ],
});
const until = (subject: string, probe: () => boolean) =>
  waitFor(probe, {
    subject,
    timeoutMs: 60_000,
    intervalMs: 20,
    describe: () => JSON.stringify(routes.size()),
  });

beforeAll(async () => {
  cluster = await startCluster();
  ({ admin } = cluster);
  await cluster.createNode('box', {
    podCIDR: '10.244.0.0/24',
    status: addresses('10.0.0.4', 'box'),
  });
  routes = createClusterRoutes({
    localNode: { name: 'box', kubeletPort: 10250 },
    podCIDR: '10.244.0.0/16',
    serviceCIDR: '10.96.0.0/16',
    findPodNodes: createPodNodeFinder(admin),
  });
  const logger = createLogger({
    level: 'warn',
    format: 'text',
    write: (line) => warnings.push(line),
  });
  const watchers = [{ onNodeDeleted: (name: string) => deleted.push(name) }];
  const options = { client: admin, logger, clock: systemClock, routes, watchers };
  loop = runClusterRoutes(options, abort.signal);
  await until('the local node', () => 'address' in routes.route('10.0.0.4', 10250));
});

afterAll(async () => {
  abort.abort();
  await loop;
  await cluster?.stop();
});

describe('routes follow the API', () => {
  it('to nodes of two sites with one and the same address', async () => {
    const site = { daemonEndpoints: { kubeletEndpoint: { Port: 10250 } } };
    for (const [index, name] of ['edge-a', 'edge-b'].entries()) {
      await cluster.createNode(name, {
        podCIDR: `10.244.${index + 1}.0/24`,
        status: { ...site, ...addresses('192.168.1.7', name) },
      });
    }
    await until('edge-b by its address', () => {
      const decision = routes.route('192.168.1.7', 10250);
      return 'reason' in decision && decision.reason.includes('edge-a, edge-b');
    });
    expect(routes.route('edge-a', 10250)).toMatchObject({ type: 'agent', nodeName: 'edge-a' });
    expect(routes.route('edge-b', 10250)).toMatchObject({ type: 'agent', nodeName: 'edge-b' });
    expect(routes.route('10.244.2.9', 8443)).toMatchObject({ nodeName: 'edge-b' });
  });

  it('to hostNetwork endpoints, and away from them', async () => {
    await cluster.createSlice('webhook', 9443, [
      { addresses: ['192.168.1.7'], nodeName: 'edge-b' },
    ]);
    await until('the endpoint', () => {
      const decision = routes.route('192.168.1.7', 9443);
      return 'nodeName' in decision && decision.nodeName === 'edge-b';
    });
    const ref = { resource: endpointSliceResource, name: 'webhook', namespace: 'default' };
    await admin.patch(ref, { endpoints: [] }, { type: 'merge' });
    await until('no endpoint', () => 'reason' in routes.route('192.168.1.7', 9443));
    await admin.delete(ref);
  });

  it('to a pod whose address only the API knows', async () => {
    const status = { phase: 'Running', podIP: '172.20.0.9', podIPs: [{ ip: '172.20.0.9' }] };
    await cluster.createPod('far', { nodeName: 'edge-a' }, status);
    expect(await routes.route('172.20.0.9', 80)).toMatchObject({
      type: 'agent',
      nodeName: 'edge-a',
      host: '172.20.0.9',
    });
    expect(await routes.route('172.20.0.10', 80)).toMatchObject({ type: 'refuse', status: 403 });
    const ref = { resource: podResource, name: 'far', namespace: 'default' };
    const options = { type: 'merge', subresource: 'status' } as const;
    await admin.patch(ref, { status: { phase: 'Failed' } }, options);
    // Answers are kept for two seconds.
    await waitFor(async () => (await routes.route('172.20.0.9', 80)).type === 'refuse', {
      subject: 'the pod to be forgotten',
      timeoutMs: 60_000,
    });
  });

  it('and a node that goes by another name is refused, and flagged once', async () => {
    await cluster.createNode('crooked', { status: addresses('192.168.1.9', 'edge-a') });
    await until('crooked', () => routes.hasNode('crooked'));
    await until('its host name', () => {
      const decision = routes.route('crooked', 10250);
      return 'reason' in decision && decision.reason.includes('edge-a');
    });
    expect(routes.route('edge-a', 10250)).toMatchObject({ type: 'agent', nodeName: 'edge-a' });
    const ref = { resource: nodeResource, name: 'crooked' };
    await admin.patch(ref, { metadata: { labels: { x: 'y' } } }, { type: 'merge' });
    // Others write events into this namespace too.
    const about = { namespace: 'default', fieldSelector: 'involvedObject.name=crooked' };
    const events = await waitFor(
      async () => {
        const { items } = await admin.list<KubeObject>(eventResource, about);
        return items.length > 0 ? items : undefined;
      },
      { subject: 'the event', timeoutMs: 60_000 },
    );
    expect(events).toMatchObject([
      {
        reason: 'HostnameMismatch',
        type: 'Warning',
        involvedObject: { kind: 'Node', name: 'crooked' },
      },
    ]);
    // A busy API server may be warned of, too.
    const ofCrooked = warnings.filter((line) => line.includes('crooked'));
    expect(ofCrooked).toEqual([
      expect.stringContaining('node crooked reports the host name edge-a'),
    ]);
  });
});

describe('a Node that is deleted', () => {
  it('is told of, and gets no requests any more', async () => {
    await admin.delete({ resource: nodeResource, name: 'crooked' });
    await until('the news', () => deleted.includes('crooked'));
    expect(routes.route('crooked', 10250)).toMatchObject({ reason: 'no node named crooked' });
  });

  it('is told of also when it went while nobody watched', async () => {
    await cluster.createNode('brief', { status: addresses('192.168.1.10', 'brief') });
    await until('brief', () => routes.hasNode('brief'));
    deleted.length = 0;
    await cluster.controlPlane.stopApiServer();
    await deleteFromStore('/registry/minions/brief');
    await cluster.controlPlane.startApiServer();
    await until('the news', () => deleted.includes('brief'));
    expect(deleted).toEqual(['brief']);
    expect(routes.hasNode('edge-a')).toBe(true);
  });
});

it('keeps next to nothing of 5,000 slices of pods', async () => {
  const before = routes.size().endpoints;
  // The last is created after all others, and kept: when it is there, everything was seen.
  const pod = (i: number) => ({ addresses: [`10.244.1.${2 + (i % 250)}`], nodeName: 'edge-a' });
  for (let i = 0; i < 5_000; i += 50) {
    const batch = Array.from({ length: 50 }, (_, k) => i + k);
    await Promise.all(batch.map((n) => cluster.createSlice(`pods-${n}`, 8080, [pod(n)])));
  }
  await cluster.createSlice('last', 9100, [{ addresses: ['192.168.1.7'], nodeName: 'edge-a' }]);
  await until('the last slice', () => routes.size().endpoints > before);
  expect(routes.size().endpoints).toBe(before + 1);
}, 600_000);

/** As another API server would have while this one was away. */
async function deleteFromStore(key: string): Promise<void> {
  const response = await fetch(`${cluster.controlPlane.etcdUrl}/v3/kv/deleterange`, {
    method: 'POST',
    body: JSON.stringify({ key: Buffer.from(key).toString('base64') }),
  });
  expect(await response.json()).toMatchObject({ deleted: '1' });
}
