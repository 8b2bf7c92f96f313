import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { runClusterRoutes } from '../../../src/reconcilers/cluster-routes.ts';
import {
  createNodeSites,
  mainSite,
  type NodeSites,
  type Site,
  siteAsn,
} from '../../../src/reconcilers/node-sites.ts';
import { type NodeObject, nodeResource, podResource } from '../../../src/reconcilers/resources.ts';
import { createClusterRoutes } from '../../../src/tunnel/route-cluster.ts';
import { object, startCluster, type TestCluster } from './cluster.ts';

const zone = 'topology.kubernetes.io/zone';
const nat: Site = { name: 'nat-203.0.113.7', isBehindNat: true };
const sites = new Map<string, Site>([
  ['box', mainSite],
  ['edge-1', nat],
  ['edge-2', nat],
]);
const abort = new AbortController();
let cluster: TestCluster;
let admin: KubeClient;
let nodeSites: NodeSites;
let loops: Promise<unknown>;

beforeAll(async () => {
  cluster = await startCluster();
  ({ admin } = cluster);
  const account = { name: 'default', namespace: 'kube-system' };
  await admin.create(object('v1', 'ServiceAccount', account));
  const logger = silentLogger;
  nodeSites = createNodeSites({ client: admin, logger, siteOf: (name) => sites.get(name) });
  const routes = createClusterRoutes({
    localNode: undefined,
    podCIDR: '10.244.0.0/16',
    serviceCIDR: '10.96.0.0/16',
  });
  const watchers = [nodeSites.watcher];
  loops = Promise.all([
    runClusterRoutes({ client: admin, logger, clock: systemClock, routes, watchers }, abort.signal),
    nodeSites.run(abort.signal),
  ]);
});

afterAll(async () => {
  abort.abort();
  await loops;
  await cluster?.stop();
});

const read = (name: string) => admin.get<NodeObject>({ resource: nodeResource, name });
const labelsOf = async (name: string) => (await read(name))?.metadata.labels ?? {};

async function untilSite(name: string, site: string): Promise<NodeObject> {
  let labels = {};
  return waitFor(
    async () => {
      const node = await read(name);
      labels = node?.metadata.labels ?? {};
      return node?.metadata.labels?.['mini-k8s.io/site'] === site ? node : undefined;
    },
    {
      subject: `${name} to be at ${site}`,
      timeoutMs: 60_000,
      intervalMs: 20,
      describe: () => JSON.stringify(labels),
    },
  );
}

it('are labels and the AS number of every node whose site is known', async () => {
  for (const name of ['box', 'edge-1', 'stranger']) await cluster.createNode(name);
  const { metadata } = await untilSite('edge-1', nat.name);
  expect(metadata.labels).toMatchObject({ 'mini-k8s.io/behind-nat': 'true', [zone]: nat.name });
  expect(metadata.annotations).toMatchObject({
    'kube-router.io/node.asn': String(siteAsn(nat.name)),
  });
  const box = await untilSite('box', 'main');
  expect(box.metadata.labels).toMatchObject({ [zone]: 'main' });
  expect(box.metadata.labels).not.toHaveProperty('mini-k8s.io/behind-nat');
  expect(box.metadata.annotations).toMatchObject({ 'kube-router.io/node.asn': '4200000000' });
  expect(await labelsOf('stranger')).not.toHaveProperty('mini-k8s.io/site');
});

it("never take a user's zone, given before or later", async () => {
  await cluster.createNode('edge-2', { labels: { [zone]: 'cellar' } });
  expect((await untilSite('edge-2', nat.name)).metadata.labels).toMatchObject({ [zone]: 'cellar' });
  const ref = { resource: nodeResource, name: 'edge-1' };
  await admin.patch(ref, { metadata: { labels: { [zone]: 'attic' } } }, { type: 'merge' });
  // Something of ours is taken away, and comes back; the zone stays as the user has it.
  await admin.patch(ref, { metadata: { labels: { 'mini-k8s.io/site': null } } }, { type: 'merge' });
  expect((await untilSite('edge-1', nat.name)).metadata.labels).toMatchObject({ [zone]: 'attic' });
});

it('follow a node that moves, and drop what does not hold any more', async () => {
  await cluster.createNode('edge-3');
  sites.set('edge-3', nat);
  nodeSites.recheck('edge-3');
  await untilSite('edge-3', nat.name);
  sites.set('edge-3', mainSite);
  nodeSites.recheck('edge-3');
  const { metadata } = await untilSite('edge-3', 'main');
  expect(metadata.labels).toMatchObject({ [zone]: 'main' });
  expect(metadata.labels).not.toHaveProperty('mini-k8s.io/behind-nat');
});

it("end the kube-router of a node that moves, and nobody else's", async () => {
  for (const name of ['mover', 'neighbour']) {
    sites.set(name, nat);
    await cluster.createNode(name);
    await untilSite(name, nat.name);
    await createRouter(`router-${name}`, name);
  }
  await createRouter('other-mover', 'mover', 'other');
  const far: Site = { name: 'nat-198.51.100.9', isBehindNat: true };
  sites.set('mover', far);
  nodeSites.recheck('mover');
  const annotations = async () => (await read('mover'))?.metadata.annotations ?? {};
  let seen = {};
  await waitFor(
    async () => {
      seen = await annotations();
      return (await routers()).join() === 'other-mover,router-neighbour';
    },
    { subject: 'its pod to go', timeoutMs: 60_000, describe: () => JSON.stringify(seen) },
  );
  await waitFor(
    async () => {
      seen = await annotations();
      return JSON.stringify(seen) === `{"kube-router.io/node.asn":"${siteAsn(far.name)}"}`;
    },
    { subject: 'the move to be done', timeoutMs: 60_000, describe: () => JSON.stringify(seen) },
  );
});

it('end the kube-router that a controller left when it was interrupted', async () => {
  await createRouter('router-mover', 'mover');
  const ref = { resource: nodeResource, name: 'mover' };
  const annotations = { 'mini-k8s.io/kube-router-restart': 'true' };
  await admin.patch(ref, { metadata: { annotations } }, { type: 'merge' });
  let seen: string[] = [];
  await waitFor(
    async () => {
      seen = await routers();
      return seen.join() === 'other-mover,router-neighbour';
    },
    { subject: 'its pod to go', timeoutMs: 60_000, describe: () => seen.join() },
  );
});

async function createRouter(name: string, nodeName: string, app = 'kube-router'): Promise<void> {
  const namespace = 'kube-system';
  const metadata = { name, namespace, labels: { 'k8s-app': app } };
  const containers = [{ name: 'main', image: 'none' }];
  const spec = {
    ...{ nodeName, containers, automountServiceAccountToken: false },
    terminationGracePeriodSeconds: 0,
  };
  await admin.create({ ...object('v1', 'Pod', metadata), spec });
}

async function routers(): Promise<string[]> {
  const { items } = await admin.list(podResource, { namespace: 'kube-system' });
  return items.map(({ metadata }) => metadata.name).sort();
}

it('do not bring a deleted Node back', async () => {
  await admin.delete({ resource: nodeResource, name: 'edge-3' });
  nodeSites.recheck('edge-3');
  // A later one is done, so this one was looked at.
  await cluster.createNode('edge-4');
  sites.set('edge-4', nat);
  nodeSites.recheck('edge-4');
  await untilSite('edge-4', nat.name);
  expect(await read('edge-3')).toBeUndefined();
});
