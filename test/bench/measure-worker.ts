import { sleep, waitFor } from '../../src/base/time.ts';
import { defaultDataDir } from '../../src/config/paths.ts';
import { type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { findProduct, nodePaths, productBinds } from '../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../support/e2e/worker.ts';
import { createNode } from '../support/node/create-node.ts';
import { createSite } from '../support/node/create-site.ts';
import type { TestNode } from '../support/node/types.ts';
import { resetKeepingStore, type Variant } from './bench-node.ts';
import { type DiskUse, measureDisk } from './measure-disk.ts';
import { type ApiView, createApiView, readProcessUsage } from './node-view.ts';
import { median } from './statistics.ts';

export interface WorkerResult {
  /** From `mini-k8s worker` with a token until the API calls its node Ready; everything comes from the controller. */
  readonly downloadJoinMs: number;
  /** The same with components and images in the worker's store. */
  readonly joinMs: number;
  /** Of the whole worker with kube-router and no other pods: median of the samples. */
  readonly anonymousBytes: number;
  /** Of its supervisor: tunnel and balancer included. */
  readonly supervisorBytes: number;
  /** Of the controller's supervisor meanwhile. */
  readonly controllerSupervisorBytes: number;
  readonly disk: DiskUse;
  readonly controllerDisk: DiskUse;
}

/** What a join leaves behind settles first. */
const SETTLE_MS = 60_000;
const SAMPLES = 6;
const SAMPLE_INTERVAL_MS = 5_000;
const JOIN_TIMEOUT_MS = 120_000;

interface Bench {
  readonly cluster: Cluster;
  readonly controller: TestNode;
  readonly node: TestNode;
  readonly api: ApiView;
}

/** Joins a worker to a controller on one Ethernet segment, `runs` times, each 1 vCPU and 1 GiB. */
export async function measureWorkers(
  variant: Variant,
  runs: number,
  onResult: (result: WorkerResult, run: number) => void,
): Promise<readonly WorkerResult[]> {
  const prefix = `bench-${process.pid}`;
  const binds = productBinds({ ...findProduct(), executable: variant.hostExecutable });
  await using site = await createSite(prefix);
  await using controller = await createNode({
    ...{ name: `${prefix}-controller`, network: { site }, binds },
  });
  await using node = await createNode({ name: `${prefix}-worker`, network: { site }, binds });
  const cluster = await startCluster(controller, { config: variant.config });
  await cluster.waitReady();
  const api = createApiView(controller, defaultDataDir);
  try {
    const results: WorkerResult[] = [];
    for (let run = 1; run <= runs; run += 1) {
      const result = await measureRun({ cluster, controller, node, api });
      onResult(result, run);
      results.push(result);
    }
    return results;
  } finally {
    api.close();
    await cluster.stop();
  }
}

async function measureRun(bench: Bench): Promise<WorkerResult> {
  const { cluster, node, controller } = bench;
  const first = await measureJoin(bench);
  await sleep(SETTLE_MS);
  const memory = await measureMemory(bench);
  const [disk, controllerDisk] = [await measureDisk(node), await measureDisk(controller)];
  await leave(cluster, first.worker);
  await resetKeepingStore(node);
  const second = await measureJoin(bench);
  await leave(cluster, second.worker);
  await node.run([nodePaths.executable, 'reset', '--yes'], { timeoutMs: 120_000 });
  const times = { downloadJoinMs: first.elapsedMs, joinMs: second.elapsedMs };
  return { ...times, ...memory, disk, controllerDisk };
}

async function measureJoin({ cluster, node, api }: Bench) {
  const token = await createToken(cluster);
  await node.dropCaches();
  const startedAt = performance.now();
  const worker = await startWorker(node, { token });
  const say = () => worker.process.output().trimEnd().split('\n').slice(-30).join('\n');
  await waitFor(
    async () => {
      if (worker.process.exitCode !== undefined) throw new Error(`The worker ended:\n${say()}`);
      return isReady((await api.get(`/api/v1/nodes/${node.name}`))?.body);
    },
    {
      subject: `node ${node.name} to be Ready`,
      timeoutMs: JOIN_TIMEOUT_MS,
      intervalMs: 100,
      describe: say,
    },
  );
  return { worker, elapsedMs: Math.round(performance.now() - startedAt) };
}

interface NodeStatusBody {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

function isReady(body: string | undefined): boolean {
  const { status } = JSON.parse(body ?? '{}') as NodeStatusBody;
  return status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

type MemoryResult = Pick<
  WorkerResult,
  'anonymousBytes' | 'supervisorBytes' | 'controllerSupervisorBytes'
>;

async function measureMemory({ controller, node }: Bench): Promise<MemoryResult> {
  const samples: MemoryResult[] = [];
  for (let count = 0; count < SAMPLES; count += 1) {
    if (count > 0) await sleep(SAMPLE_INTERVAL_MS);
    const [usages, controllerUsages] = await Promise.all([node, controller].map(readProcessUsage));
    const bytesOf = (list: typeof usages = [], name?: string) =>
      list
        .filter((usage) => name === undefined || usage.name === name)
        .reduce((sum, { anonymousBytes }) => sum + anonymousBytes, 0);
    samples.push({
      anonymousBytes: bytesOf(usages),
      supervisorBytes: bytesOf(usages, 'mini-k8s worker'),
      controllerSupervisorBytes: bytesOf(controllerUsages, 'mini-k8s'),
    });
  }
  const middle = (key: keyof MemoryResult) => median(samples.map((sample) => sample[key]));
  return {
    anonymousBytes: middle('anonymousBytes'),
    supervisorBytes: middle('supervisorBytes'),
    controllerSupervisorBytes: middle('controllerSupervisorBytes'),
  };
}

/** The node is gone for the cluster, so that a Ready of the next join is not one of before. */
async function leave(cluster: Cluster, worker: Worker): Promise<void> {
  await cluster.run(['node', 'remove', worker.node.name], { timeoutMs: 120_000 });
  await worker.stop();
}
