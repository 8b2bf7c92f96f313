import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { waitFor } from '../../../src/base/time.ts';
import {
  type AgentTargets,
  createAgentAllowListSource,
} from '../../../src/reconcilers/agent-allow-list.ts';
import { runLocalNode } from '../../../src/reconcilers/local-node.ts';
import {
  endpointSliceResource,
  nodeResource,
  podResource,
} from '../../../src/reconcilers/resources.ts';
import { checkAllowed } from '../../../src/tunnel/agent-allow-list.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const abort = new AbortController();
const published: AgentTargets[] = [];
let cluster: TestCluster;
let loops: Promise<unknown>;

const last = () => published.at(-1);
const until = (subject: string, probe: (targets: AgentTargets) => boolean) =>
  waitFor(
    () => {
      const targets = last();
      return targets !== undefined && probe(targets);
    },
    {
      subject,
      timeoutMs: 60_000,
      intervalMs: 20,
      describe: () => JSON.stringify([[...(last()?.hostPorts ?? [])], last()]),
    },
  );

beforeAll(async () => {
  cluster = await startCluster();
  // What a worker has: its kubelet's certificate, and nothing else.
  const client = await cluster.kubelet('edge-1');
  const logger = silentLogger;
  const nodeName = 'edge-1';
  const source = createAgentAllowListSource({
    ...{ client, nodeName, logger, kubeletPort: 10250, hasOwnAddresses: true },
    publish: (targets) => published.push(targets),
  });
  const observers = [source.observer];
  loops = Promise.all([
    runLocalNode({ client, nodeName, logger, observers }, abort.signal),
    source.run(abort.signal),
  ]);
});

afterAll(async () => {
  abort.abort();
  await loops;
  await cluster?.stop();
});

const decide = (host: string, port: number) => {
  const targets = last();
  if (targets === undefined) throw new Error('nothing published');
  return checkAllowed(targets, { host, port }).type;
};

it('allows the kubelet before anything was read, and nothing else', () => {
  expect(published[0]).toMatchObject({ nodeName: 'edge-1', kubeletPort: 10250, podCIDRs: [] });
  expect(decide('edge-1', 10250)).toBe('dial');
  expect(decide('10.244.1.5', 80)).toBe('refuse');
});

it("allows the node's own pods", async () => {
  const status = { addresses: [{ type: 'InternalIP', address: '192.168.1.7' }] };
  await cluster.createNode('edge-1', { podCIDR: '10.244.1.0/24', status });
  await cluster.createNode('edge-2', { podCIDR: '10.244.2.0/24', status });
  await until('its pod network', ({ podCIDRs }) => podCIDRs.includes('10.244.1.0/24'));
  await until('its address', ({ nodeAddresses }) => nodeAddresses.includes('192.168.1.7'));
  expect(decide('10.244.1.5', 80)).toBe('dial');
  expect(decide('10.244.2.5', 80)).toBe('refuse');
  expect(decide('192.168.1.7', 9100)).toBe('refuse');
});

it('allows ports of its hostNetwork pods, until they are gone', async () => {
  const containers = [{ name: 'c', image: 'none', ports: [{ containerPort: 9100 }] }];
  await cluster.createPod('exporter', { nodeName: 'edge-1', hostNetwork: true, containers });
  const others = [{ name: 'c', image: 'none', ports: [{ containerPort: 9200 }] }];
  await cluster.createPod('foreign', { nodeName: 'edge-2', hostNetwork: true, containers: others });
  await until('the port', ({ hostPorts }) => hostPorts.has('192.168.1.7:9100'));
  expect(decide('192.168.1.7', 9100)).toBe('dial');
  expect(decide('edge-1', 9100)).toBe('dial');
  expect(decide('192.168.1.7', 9200)).toBe('refuse');
  const ref = { resource: podResource, name: 'exporter', namespace: 'default' };
  const options = { type: 'merge', subresource: 'status' } as const;
  await cluster.admin.patch(ref, { status: { phase: 'Failed' } }, options);
  await until('no port', ({ hostPorts }) => hostPorts.size === 0);
});

it('allows endpoints on its own addresses that name it, and takes them back', async () => {
  await cluster.createSlice('webhook', 9443, [
    { addresses: ['192.168.1.7'], nodeName: 'edge-1' },
    { addresses: ['192.168.1.99'], nodeName: 'edge-1' },
  ]);
  await cluster.createSlice('twin', 9444, [{ addresses: ['192.168.1.7'], nodeName: 'edge-2' }]);
  await until('the endpoint', ({ hostPorts }) => hostPorts.has('192.168.1.7:9443'));
  expect(decide('192.168.1.99', 9443)).toBe('refuse');
  expect(decide('192.168.1.7', 9444)).toBe('refuse');
  const ref = { resource: endpointSliceResource, name: 'webhook', namespace: 'default' };
  await cluster.admin.delete(ref);
  await until('no endpoint', ({ hostPorts }) => hostPorts.size === 0);
});

it('knows pods outside of its pod network by their own addresses', async () => {
  const status = { phase: 'Running', podIP: '172.20.0.9', podIPs: [{ ip: '172.20.0.9' }] };
  await cluster.createPod('other-network', { nodeName: 'edge-1' }, status);
  const elsewhere = { phase: 'Running', podIP: '172.20.0.10', podIPs: [{ ip: '172.20.0.10' }] };
  await cluster.createPod('other-node', { nodeName: 'edge-2' }, elsewhere);
  await until('the pod', ({ podAddresses }) => podAddresses.has('172.20.0.9'));
  expect(decide('172.20.0.9', 8443)).toBe('dial');
  expect(decide('172.20.0.10', 8443)).toBe('refuse');
  const ref = { resource: podResource, name: 'other-network', namespace: 'default' };
  const options = { type: 'merge', subresource: 'status' } as const;
  await cluster.admin.patch(ref, { status: { phase: 'Succeeded' } }, options);
  await until('no pod', ({ podAddresses }) => podAddresses.size === 0);
  expect(decide('172.20.0.9', 8443)).toBe('refuse');
});

it('allows nothing but the kubelet once the Node is gone', async () => {
  await cluster.admin.delete({ resource: nodeResource, name: 'edge-1' });
  await until('no network', ({ podCIDRs }) => podCIDRs.length === 0);
  expect(decide('10.244.1.5', 80)).toBe('refuse');
  expect(decide('edge-1', 10250)).toBe('dial');
});
