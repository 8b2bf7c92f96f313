import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { untilAborted, waitFor } from '../../src/base/time.ts';
import { type Cluster, startCluster } from '../../test/support/e2e/cluster.ts';
import { nodePaths } from '../../test/support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../../test/support/e2e/worker.ts';
import { createNode } from '../../test/support/node/create-node.ts';
import { createSite } from '../../test/support/node/create-site.ts';
import type { NodeOptions, TestNode } from '../../test/support/node/types.ts';
import {
  type MemoryWatch,
  type NodeRecord,
  type OomWatch,
  type PodList,
  podRestartsOf,
  restartsOf,
  watchMemory,
  watchOomKills,
} from './node-watch.ts';
import { renderSize } from './options.ts';

export interface TestClusterOptions {
  /** Paths on the host. */
  readonly executable: string;
  readonly bundle: string;
  readonly bundleSha256: string;
  /** Of each node. */
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Where kubeconfig and logs go; made when it is not there. */
  readonly directory: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A controller that runs pods, and a worker that joined it by token: as a person starts them, with no setting at all. */
export interface TestCluster extends AsyncDisposable {
  /** Of its administrator. */
  readonly kubeconfig: string;
  readonly kubernetesVersion: string;
  readonly version: string;
  /** What became of the nodes so far. */
  describeNodes(): Promise<readonly NodeRecord[]>;
}

/** Images that tests pull and what they write; the file is sparse. Other tests' nodes have less. */
const DISK_BYTES = 24 * 1024 ** 3;
const LOG_BYTES = 64 * 1024 ** 2;
const IMPORT_TIMEOUT_MS = 300_000;
const JOIN_TIMEOUT_MS = 180_000;
const ROUTES_TIMEOUT_MS = 180_000;

interface Parts {
  readonly options: TestClusterOptions;
  readonly controller: TestNode;
  readonly workerNode: TestNode;
  readonly cluster: Cluster;
  readonly worker: Worker;
}

/** Makes both nodes and waits until all is Ready. What it made is removed when it fails or is aborted. */
export async function startTestCluster(options: TestClusterOptions): Promise<TestCluster> {
  const { say, signal } = options;
  await using stack = new AsyncDisposableStack();
  const prefix = `conformance-${process.pid}`;
  const site = stack.use(await createSite(prefix));
  const sizes = { cpus: options.cpus, memoryBytes: options.memoryBytes, diskBytes: DISK_BYTES };
  const plugged = { ...sizes, network: { site } };
  const executable = { source: options.executable, target: nodePaths.executable };
  const bundle = { source: options.bundle, target: nodePaths.bundle };
  const make = async (given: NodeOptions) => {
    signal.throwIfAborted();
    return stack.use(await createNode(given));
  };
  const controller = await make({
    ...{ ...plugged, name: `${prefix}-controller`, binds: [executable, bundle] },
  });
  const workerNode = await make({ ...plugged, name: `${prefix}-worker`, binds: [executable] });
  signal.throwIfAborted();

  say('Starting the controller; the images of the tests are imported with its components');
  const trust = ['--trust-bundle', options.bundleSha256];
  const cluster = await startCluster(controller, {
    ...{ usesBundle: false, args: ['--bundle', nodePaths.bundle, ...trust] },
    keepOutputBytes: LOG_BYTES,
  });
  stack.defer(() => keepLogs(options, 'controller', cluster));
  await unlessAborted(cluster.waitReady(IMPORT_TIMEOUT_MS), signal);

  say('Joining the worker');
  const token = await createToken(cluster);
  const worker = await startWorker(workerNode, { token, keepOutputBytes: LOG_BYTES });
  stack.defer(() => keepLogs(options, 'worker', worker));
  await unlessAborted(worker.waitReady(JOIN_TIMEOUT_MS), signal);
  await unlessAborted(cluster.waitReady(), signal);
  const readyAtMs = performance.now();
  await waitForRoutes(cluster, [controller, workerNode], signal);
  const seconds = Math.round((performance.now() - readyAtMs) / 1000);
  say(`Pods of both nodes reach each other, ${seconds} s after all was Ready`);
  const handle = await clusterHandle({ options, controller, workerNode, cluster, worker }, stack);
  signal.throwIfAborted();
  const owned = stack.move();
  return { ...handle, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly podCIDR?: string };
  }[];
}

/**
 * A node is Ready before its peers know its pod network: they look for it every few seconds. Tests expect a cluster that
 * is there, not one that grows.
 */
async function waitForRoutes(
  cluster: Cluster,
  nodes: readonly TestNode[],
  signal: AbortSignal,
): Promise<void> {
  const { items } = (await cluster.getJson(['nodes'])) as NodeList;
  const cidrOf = (name: string) =>
    items.find(({ metadata }) => metadata.name === name)?.spec.podCIDR ?? 'none';
  const wanted = nodes.flatMap((node) =>
    nodes.filter((other) => other !== node).map((other) => ({ node, cidr: cidrOf(other.name) })),
  );
  let lacking = '';
  await waitFor(
    async () => {
      for (const { node, cidr } of wanted) {
        const { stdout } = await node.exec(['ip', 'route', 'show', cidr]);
        lacking = `${node.name} has no route to ${cidr}`;
        if (!stdout.includes(' via ')) return false;
      }
      return true;
    },
    {
      ...{ subject: 'routes between the pod networks', timeoutMs: ROUTES_TIMEOUT_MS, signal },
      ...{ intervalMs: 1000, describe: () => lacking },
    },
  );
}

async function clusterHandle(
  parts: Parts,
  stack: AsyncDisposableStack,
): Promise<Omit<TestCluster, keyof AsyncDisposable>> {
  const { options, cluster, controller, workerNode } = parts;
  const kubeconfig = path.join(options.directory, 'kubeconfig');
  await mkdir(options.directory, { recursive: true });
  await writeFile(kubeconfig, await cluster.run(['kubeconfig', 'admin']), { mode: 0o600 });
  const memory = [controller, workerNode].map(watchMemory);
  const oom = await watchOomKills();
  for (const watch of [...memory, oom]) stack.defer(() => watch.stop());
  const { version, kubernetesVersion } = await cluster.status();
  return {
    ...{ kubeconfig, version, kubernetesVersion },
    describeNodes: async () => {
      await oom.stop();
      return await describeNodes(parts, memory, oom);
    },
  };
}

async function describeNodes(
  { options, cluster, worker, controller, workerNode }: Parts,
  memory: readonly MemoryWatch[],
  oom: OomWatch,
): Promise<readonly NodeRecord[]> {
  const pods = await cluster
    .getJson(['pods', '-n', 'kube-system'])
    .then((list) => list as PodList)
    .catch(() => undefined);
  const size = renderSize(options);
  const parts = [
    { role: 'controller', node: controller, ask: cluster.status } as const,
    { role: 'worker', node: workerNode, ask: worker.status } as const,
  ];
  return Promise.all(
    parts.map(async ({ role, node, ask }, index) => ({
      ...{ role, size, peakBytes: memory[index]?.peakBytes ?? 0 },
      oomKills: oom.killsOf(node),
      restarts: await ask().then(restartsOf, () => undefined),
      podRestarts: pods === undefined ? undefined : podRestartsOf(pods, node.name),
    })),
  );
}

/** What mini-k8s said, and the end of what each component did: in the node's memory, gone with it. */
async function keepLogs(
  { directory }: TestClusterOptions,
  role: NodeRecord['role'],
  { node, process: supervisor }: Pick<Cluster, 'node' | 'process'>,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, `${role}.log`), supervisor.output());
  const logs = `/proc/${node.pid}/root/run/mini-k8s/log`;
  if (existsSync(logs)) await cp(logs, path.join(directory, role), { recursive: true });
}

/** The work goes on to its end, but nobody waits for it any more. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = untilAborted(signal).then(() => undefined);
  const result = await Promise.race([work.then((value) => ({ value })), aborted]);
  signal.throwIfAborted();
  if (result === undefined) throw new Error('nothing was aborted');
  return result.value;
}
