import { waitFor } from '../../../src/base/time.ts';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import type { NodeProcess, TestNode } from '../node/types.ts';
import type { Cluster } from './cluster.ts';
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
}

/** A token as a person makes it. */
export async function createToken(cluster: Cluster): Promise<string> {
  return (await cluster.run(['token', 'create'])).trim();
}

/** Starts a worker; the token goes in by a file, as in fleet images. Does not wait for anything. */
export async function startWorker(
  node: TestNode,
  cluster: Cluster,
  options: WorkerOptions = {},
): Promise<Worker> {
  const tokenFile = '/root/token';
  if (options.token !== undefined) await node.writeFile(tokenFile, `${options.token}\n`, 0o600);
  const token = options.token === undefined ? [] : ['--token-file', tokenFile];
  const worker = node.spawn([nodePaths.executable, 'worker', ...token, ...(options.args ?? [])]);
  return {
    node,
    process: worker,
    status: async () =>
      JSON.parse(await node.run([nodePaths.executable, 'status', '-o', 'json'])) as NodeStatus,
    waitReady: (timeoutMs = 90_000) => waitUntilReady(cluster, { node, worker, timeoutMs }),
    stop: async () => {
      worker.kill('SIGTERM');
      return worker.exited;
    },
  };
}

async function waitUntilReady(
  cluster: Cluster,
  wanted: { readonly node: TestNode; readonly worker: NodeProcess; readonly timeoutMs: number },
): Promise<void> {
  const { node, worker, timeoutMs } = wanted;
  const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
  let last = '';
  await waitFor(
    async () => {
      if (worker.exitCode !== undefined) {
        throw new Error(`the worker ended with ${worker.exitCode}:\n${worker.output()}`);
      }
      const { stdout, stderr } = await cluster.mini([
        ...['kubectl', 'get', 'node', node.name, '-o', path],
      ]);
      last = stdout + stderr;
      return stdout === 'True';
    },
    {
      subject: `node ${node.name} to be Ready`,
      timeoutMs,
      intervalMs: 250,
      describe: () => `${last}\n${worker.output().split('\n').slice(-60).join('\n')}`,
    },
  );
}
