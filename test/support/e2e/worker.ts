import { waitFor } from '../../../src/base/time.ts';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import type { NodeProcess, TestNode } from '../node/types.ts';
import { askStatus, type Cluster } from './cluster.ts';
import { nodePaths } from './product.ts';

/** `mini-k8s worker` in the background of a node. */
export interface Worker {
  readonly node: TestNode;
  readonly process: NodeProcess;
  status(): Promise<NodeStatus>;
  /** Waits until the API says that the node is Ready. */
  waitReady(timeoutMs?: number): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
}

export interface WorkerOptions {
  /** Left out on a machine that has joined. */
  readonly token?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** By which it joins; the machine's own when left out. */
  readonly nodeName?: string;
  /** The machine has the name from an earlier join: it is not told again. */
  readonly isNameKnown?: boolean;
  /** As in SpawnOptions, for the worker's own output. */
  readonly keepOutputBytes?: number;
}

/** A token as a person makes it. */
export async function createToken(cluster: Cluster, args: readonly string[] = []): Promise<string> {
  return (await cluster.run(['token', 'create', ...args])).trim();
}

/** Starts a worker; the token goes in by a file, as in fleet images. Does not wait for anything. */
export async function startWorker(node: TestNode, options: WorkerOptions = {}): Promise<Worker> {
  const tokenFile = '/root/token';
  if (options.token !== undefined) await node.writeFile(tokenFile, `${options.token}\n`, 0o600);
  const token = options.token === undefined ? [] : ['--token-file', tokenFile];
  const { env = {}, nodeName = node.name, keepOutputBytes } = options;
  const name =
    nodeName === node.name || options.isNameKnown === true ? [] : ['--node-name', nodeName];
  const worker = node.spawn(
    [nodePaths.executable, 'worker', ...token, ...name, ...(options.args ?? [])],
    { env, ...(keepOutputBytes === undefined ? {} : { keepOutputBytes }) },
  );
  return {
    node,
    process: worker,
    status: async () =>
      JSON.parse(await node.run([nodePaths.executable, 'status', '-o', 'json'])) as NodeStatus,
    waitReady: (timeoutMs = 90_000) => waitUntilReady(nodeName, worker, timeoutMs),
    stop: async () => {
      if (worker.exitCode === undefined) worker.kill('SIGTERM');
      return worker.exited;
    },
  };
}

async function waitUntilReady(
  nodeName: string,
  worker: NodeProcess,
  timeoutMs: number,
): Promise<void> {
  let last = '';
  await waitFor(
    async () => {
      if (worker.exitCode !== undefined) {
        throw new Error(`the worker ended with ${worker.exitCode}:\n${worker.output()}`);
      }
      const status = await askStatus(worker.pid).catch(String);
      last = typeof status === 'string' ? status : status.node.message;
      return typeof status !== 'string' && status.node.isReady && status.node.name === nodeName;
    },
    {
      subject: `node ${nodeName} to be Ready`,
      timeoutMs,
      intervalMs: 250,
      describe: () => `${last}\n${worker.output().split('\n').slice(-60).join('\n')}`,
    },
  );
}
