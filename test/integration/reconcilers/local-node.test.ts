import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { waitFor } from '../../../src/base/time.ts';
import { createKubeClient } from '../../../src/kube-client/client.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import {
  createLocalEndpoints,
  type LocalEndpoints,
} from '../../../src/reconcilers/local-endpoints.ts';
import { runLocalNode } from '../../../src/reconcilers/local-node.ts';
import { controlPlaneLabels, createNodeLabels } from '../../../src/reconcilers/node-labels.ts';
import { type NodeObject, nodeResource } from '../../../src/reconcilers/resources.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';

const role = 'node-role.kubernetes.io/control-plane';
const node = { resource: nodeResource, name: 'edge-1' };
const published: LocalEndpoints[] = [];
const attempts: (string | undefined)[] = [];
let controlPlane: TestControlPlane;
let client: KubeClient;
const abort = new AbortController();
let loops: Promise<unknown>;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  const { server, caFile, adminToken } = controlPlane;
  client = createKubeClient({ server, caFile, token: adminToken });
  const logger = silentLogger;
  const endpoints = createLocalEndpoints({
    client,
    nodeName: 'edge-1',
    kubeletPort: 10250,
    logger,
    publish: (state) => published.push(state),
  });
  const failing = {
    name: 'failing once',
    reconcile: async (object: NodeObject | undefined) => {
      attempts.push(object?.metadata.name);
      if (attempts.length === 1) throw new Error('first time');
    },
  };
  const labels = createNodeLabels({ client, labels: controlPlaneLabels });
  const observers = [labels, endpoints.observer, failing];
  loops = Promise.all([
    runLocalNode({ client, nodeName: 'edge-1', logger, observers }, abort.signal),
    endpoints.run(abort.signal),
  ]);
});

afterAll(async () => {
  abort.abort();
  await loops;
  client?.close();
  await controlPlane?.stop();
});

const last = () => published.at(-1);
const until = (subject: string, probe: () => Promise<boolean> | boolean) =>
  waitFor(probe, {
    subject,
    timeoutMs: 10_000,
    intervalMs: 20,
    describe: () => JSON.stringify({ ...last(), host: [...(last()?.hostEndpoints ?? [])] }),
  });
const readNode = () => client.get<NodeObject>(node);

it('routes to the kubelet before there is anything to read', () => {
  expect(published[0]).toEqual({
    nodeName: 'edge-1',
    kubeletPort: 10250,
    nodeAddresses: [],
    podCIDRs: [],
    hostEndpoints: new Set(),
  });
});

it('labels the Node when it comes, and again when the label goes; other labels stay', async () => {
  expect(await readNode()).toBeUndefined();
  const metadata = { name: 'edge-1', labels: { mine: 'yes' } };
  await client.create({ apiVersion: 'v1', kind: 'Node', metadata });
  const isLabelled = async () => (await readNode())?.metadata.labels?.[role] === '';
  await until('the label', isLabelled);
  const change = { metadata: { labels: { [role]: null } } };
  await client.patch(node, change, { type: 'merge' });
  await until('the label again', isLabelled);
  expect((await readNode())?.metadata.labels).toMatchObject({ mine: 'yes' });
});

it('publishes addresses, pod network and hostNetwork endpoints, and takes them back', async () => {
  await client.patch(
    node,
    { spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] } },
    { type: 'merge' },
  );
  const addresses = [
    { type: 'InternalIP', address: '10.9.0.4' },
    { type: 'Hostname', address: 'edge-1' },
  ];
  await client.patch(node, { status: { addresses } }, { type: 'merge', subresource: 'status' });
  await client.create({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'metrics', namespace: 'default' },
    addressType: 'IPv4',
    ports: [{ name: 'https', port: 4443, protocol: 'TCP' }],
    endpoints: [
      { addresses: ['10.9.0.4'], nodeName: 'edge-1' },
      { addresses: ['10.9.0.7'], nodeName: 'edge-7' },
      { addresses: ['10.244.0.9'], nodeName: 'edge-1' },
    ],
  });
  await until('the endpoint', () => last()?.hostEndpoints.has('10.9.0.4:4443') === true);
  expect(last()).toEqual({
    nodeName: 'edge-1',
    kubeletPort: 10250,
    nodeAddresses: ['10.9.0.4'],
    podCIDRs: ['10.244.0.0/24'],
    hostEndpoints: new Set(['10.9.0.4:4443']),
  });
  const resource = await client.discover('discovery.k8s.io/v1', 'EndpointSlice');
  if (resource === undefined) throw new Error('no EndpointSlice');
  await client.delete({ resource, name: 'metrics', namespace: 'default' });
  await until('no endpoint', () => last()?.hostEndpoints.size === 0);
});

it('tries an observer again after an error, and tells it when the Node is gone', async () => {
  await until('another try', () => attempts.length > 1);
  await client.delete(node);
  await until('the news', () => attempts.at(-1) === undefined && last()?.podCIDRs.length === 0);
  expect(await readNode()).toBeUndefined();
});
