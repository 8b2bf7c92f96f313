import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { waitFor } from '../../../src/base/time.ts';
import { createJoinRecords, type JoinRecords } from '../../../src/join/join-records.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import {
  type ClusterTools,
  openCluster,
  parseDrainTimeout,
  type RemoveNodeOptions,
  removeNode,
} from '../../../src/node/remove-node.ts';
import { renderKubeconfig } from '../../../src/pki/kubeconfig.ts';
import { nodeResource, podResource } from '../../../src/reconcilers/resources.ts';
import { componentBinary } from '../../support/components.ts';
import { object, startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
let admin: KubeClient;
let records: JoinRecords;
let tools: ClusterTools;
let steps: string[];
const podRef = (name: string) => ({ resource: podResource, name, namespace: 'default' });

beforeAll(async () => {
  cluster = await startCluster();
  ({ admin } = cluster);
  records = createJoinRecords(admin);
  tools = await openCluster(await createDataDir());
});

beforeEach(() => {
  steps = [];
});

afterAll(async () => {
  tools?.client.close();
  await cluster?.stop();
});

const remove = (nodeName: string, change: Partial<RemoveNodeOptions> = {}) =>
  removeNode(
    {
      nodeName,
      isForced: false,
      timeoutMs: 20_000,
      onStep: (text) => steps.push(text),
      ...change,
    },
    tools,
  );

describe('node remove', () => {
  it('evicts pods, refuses the name and deletes the Node; once more, it changes nothing', async () => {
    await createWorker('edge-1', 'True');
    const owner = await createOwner('web');
    await createOwnedPod('web-1', 'edge-1', owner);
    const finished = removeWhenDeleted('web-1');
    await remove('edge-1');
    await finished;
    expect(await admin.get({ resource: nodeResource, name: 'edge-1' })).toBeUndefined();
    const removedAt = (await records.get('edge-1'))?.removedAt;
    expect(removedAt).toBeDefined();
    expect(steps.join('\n')).toMatch(
      /evicting the pods of node edge-1, 20 s at most\n.*evict.*web-1.*edge-1 drained\nnode edge-1 marked as removed[^\n]*\nnode edge-1 deleted/s,
    );
    steps = [];
    await remove('edge-1');
    expect(steps).toEqual(['node edge-1 was not registered any more']);
    expect((await records.get('edge-1'))?.removedAt).toBe(removedAt);
  });

  it('goes on where it was interrupted: the Node is still there, the record says removed', async () => {
    await createWorker('edge-2', 'True');
    await records.markRemoved('edge-2', 0);
    await remove('edge-2');
    expect(steps.at(-1)).toContain('node edge-2 deleted');
    expect(steps.join()).not.toContain('marked');
  });

  it('refuses a name of nobody, and says which was meant', async () => {
    await createWorker('edge-3', 'True');
    const error = await refusal(remove('egde-3'));
    expect(error.message).toBe('Cannot remove node egde-3: there is no node of that name');
    expect(error.fix).toBe('mini-k8s node remove edge-3');
    expect((await refusal(remove('something-else'))).fix).toBe('mini-k8s kubectl get nodes');
    expect(await records.get('egde-3')).toBeUndefined();
    for (const name of ['', 'a/b', '..', 'Edge_3%']) {
      expect((await refusal(remove(name))).message).toContain('there is no node of that name');
    }
  });

  it('refuses a controller', async () => {
    const labels = { 'node-role.kubernetes.io/control-plane': '' };
    await cluster.createNode('box', { labels });
    const error = await refusal(remove('box', { isForced: true }));
    expect(error.message).toContain('it is a controller');
    expect(await admin.get({ resource: nodeResource, name: 'box' })).toBeDefined();
  });

  it('does not believe that pods of a dead node have ended, unless forced', async () => {
    await createWorker('edge-4', 'Unknown');
    const error = await refusal(remove('edge-4'));
    expect(error.message).toContain('it is not Ready (Kubelet stopped posting node status.)');
    expect(error.fix).toContain('--force');
    expect(await records.get('edge-4')).toBeUndefined();
    await remove('edge-4', { isForced: true });
    expect(steps[0]).toContain('not waiting for its pods');
    expect(await admin.get({ resource: nodeResource, name: 'edge-4' })).toBeUndefined();
  });

  it('keeps a node whose pods do not end in time, unless forced', async () => {
    await createWorker('edge-5', 'True');
    await createOwnedPod('stuck', 'edge-5', await createOwner('stuck'));
    const error = await refusal(remove('edge-5', { timeoutMs: 2_000 }));
    expect(error.message).toContain('its pods could not be evicted');
    expect(error.fix).toContain('mini-k8s node remove edge-5 --force');
    expect(await records.get('edge-5')).toBeUndefined();
    await remove('edge-5', { timeoutMs: 2_000, isForced: true });
    expect(steps.join('\n')).toContain('node edge-5 still has pods: going on, as --force says');
    expect(await admin.get({ resource: nodeResource, name: 'edge-5' })).toBeUndefined();
  });

  it('keeps a node with a pod that nobody would start elsewhere, unless forced', async () => {
    await createWorker('edge-6', 'True');
    await cluster.createPod('alone', { nodeName: 'edge-6' });
    expect((await refusal(remove('edge-6'))).message).toContain('its pods could not be evicted');
    const finished = removeWhenDeleted('alone');
    await remove('edge-6', { isForced: true });
    await finished;
    expect(await admin.get({ resource: nodeResource, name: 'edge-6' })).toBeUndefined();
  });
});

it('says so when the API does not answer', async () => {
  await cluster.controlPlane.stopApiServer();
  const error = await refusal(remove('edge-3'));
  expect(error.message).toContain('Cannot remove node edge-3: no answer from https://127.0.0.1');
});

it.each([
  ['90s', 90_000],
  ['2m', 120_000],
  ['1h', 3_600_000],
])('--timeout %s', (text, expected) => expect(parseDrainTimeout(text)).toBe(expected));

it.each(['', '0s', '2', 'm', '2 m', '-1m', '1d', '1m30s'])('--timeout %j is refused', (text) => {
  expect(() => parseDrainTimeout(text)).toThrow(UserError);
});

async function createWorker(name: string, ready: 'True' | 'Unknown'): Promise<void> {
  const message = ready === 'True' ? 'kubelet is ready' : 'Kubelet stopped posting node status.';
  await cluster.createNode(name, {
    status: { conditions: [{ type: 'Ready', status: ready, message }] },
  });
}

/** No controller runs here: the owner only makes `kubectl drain` take the pod for one that comes back elsewhere. */
async function createOwner(name: string): Promise<string> {
  const labels = { app: name };
  const created = await admin.create({
    ...object('apps/v1', 'ReplicaSet', { name, namespace: 'default' }),
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'none' }] } },
    },
  });
  return created.metadata.uid ?? '';
}

async function createOwnedPod(name: string, nodeName: string, uid: string): Promise<void> {
  const owner = name.replace(/-\d+$/, '');
  await admin.create({
    ...object('v1', 'Pod', {
      name,
      namespace: 'default',
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid, controller: true },
      ],
    }),
    spec: {
      nodeName,
      automountServiceAccountToken: false,
      containers: [{ name: 'c', image: 'none' }],
    },
  });
}

/** What a kubelet does: when the pod is to go, it goes. */
async function removeWhenDeleted(name: string): Promise<void> {
  await waitFor(
    async () => (await admin.get(podRef(name)))?.metadata.deletionTimestamp !== undefined,
    { subject: `${name} to be evicted`, timeoutMs: 15_000, intervalMs: 50 },
  );
  const args = ['delete', 'pod', name, '--force', '--grace-period=0'];
  expect(await tools.kubectl(args, () => {})).toBe(0);
}

/** A data directory as a controller has it, with the test cluster's credentials. */
async function createDataDir(): Promise<string> {
  const { controlPlane } = cluster;
  const dataDir = path.join(controlPlane.directory, 'data');
  for (const name of ['bin', 'etc', 'pki']) await mkdir(`${dataDir}/${name}`, { recursive: true });
  await symlink(componentBinary('kubectl'), `${dataDir}/bin/kubectl`);
  await copyFile(controlPlane.caFile, `${dataDir}/pki/ca.crt`);
  await copyFile(controlPlane.admin.certFile, `${dataDir}/pki/admin-client.crt`);
  await copyFile(controlPlane.admin.keyFile, `${dataDir}/pki/admin-client.key`);
  const text = renderKubeconfig({
    server: controlPlane.server,
    caFile: `${dataDir}/pki/ca.crt`,
    certFile: `${dataDir}/pki/admin-client.crt`,
    keyFile: `${dataDir}/pki/admin-client.key`,
    userName: 'kubernetes-admin',
  });
  await writeFile(`${dataDir}/etc/admin.kubeconfig`, text);
  return dataDir;
}

async function refusal(call: Promise<void>): Promise<UserError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof UserError) return error;
  throw new Error(`not refused: ${String(error)}`);
}
