import { waitFor } from '../../../src/base/time.ts';
import { fetchStatus } from '../../../src/node/status-server.ts';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import type { CommandOptions, CommandResult, NodeProcess, TestNode } from '../node/types.ts';
import { findProduct, nodePaths } from './product.ts';

export interface ClusterOptions {
  /** More arguments of `mini-k8s controller`. */
  readonly args?: readonly string[];
  /** Content of /etc/mini-k8s/config.yaml, written before the start. */
  readonly config?: string;
  /** Default true: pass the components' bundle and trust it. */
  readonly usesBundle?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** As in SpawnOptions, for the controller's own output. */
  readonly keepOutputBytes?: number;
}

/** `mini-k8s controller` in the background of a node, and how a test talks to it. */
export interface Cluster {
  readonly node: TestNode;
  readonly process: NodeProcess;
  /** Runs `mini-k8s <args>` in the node. */
  mini(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Like `mini`; throws unless the exit code is 0. Returns stdout. */
  run(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** `mini-k8s kubectl`: throws unless the exit code is 0. Returns stdout. */
  kubectl(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** `kubectl apply -f -` of objects. */
  apply(...objects: readonly unknown[]): Promise<void>;
  /** One object or list as JSON. */
  getJson(args: readonly string[]): Promise<KubeJson>;
  /** @throws Error when no controller answers. */
  status(): Promise<NodeStatus>;
  /** Waits until `isDone(status)`; a controller that does not answer yet is waited for, one that has ended is an error. */
  waitForStatus(
    isDone: (status: NodeStatus) => boolean,
    options: { readonly subject: string; readonly timeoutMs?: number },
  ): Promise<NodeStatus>;
  /** Waits until the node, all components and all addons are Ready. */
  waitReady(timeoutMs?: number): Promise<NodeStatus>;
  importTestImage(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>;
  /** SIGKILL to the supervisor alone; resolves when it is dead. */
  kill(): Promise<void>;
  /** What one wants to read after a failure: the log's end, the status, pods, events. Never throws. */
  describe(): Promise<string>;
}

/** Any object of Kubernetes, read by tests without its type. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at single fields of many kinds
export type KubeJson = any;

const READY_TIMEOUT_MS = 150_000;
const STOP_TIMEOUT_MS = 60_000;

/** Starts `mini-k8s controller` in the node; does not wait for anything. */
export async function startCluster(node: TestNode, options: ClusterOptions = {}): Promise<Cluster> {
  if (options.config !== undefined) {
    await node.writeFile('/etc/mini-k8s/config.yaml', options.config);
  }
  const bundle = options.usesBundle === false ? [] : bundleArguments();
  const { env = {}, keepOutputBytes } = options;
  const controller = node.spawn(
    [nodePaths.executable, 'controller', ...bundle, ...(options.args ?? [])],
    { env, ...(keepOutputBytes === undefined ? {} : { keepOutputBytes }) },
  );
  return clusterHandle(node, controller, options);
}

/** `--bundle` and `--trust-bundle` for the bundle that every product node has. */
export function bundleArguments(): readonly string[] {
  return ['--bundle', nodePaths.bundle, '--trust-bundle', findProduct().bundleSha256];
}

function clusterHandle(node: TestNode, controller: NodeProcess, options: ClusterOptions): Cluster {
  const env = { ...dataDirEnvironment(options.args ?? []), ...options.env };
  const argv = (args: readonly string[]) => [nodePaths.executable, ...args];
  const withEnv = (given?: CommandOptions) => ({ ...given, env: { ...env, ...given?.env } });
  const mini: Cluster['mini'] = (args, given) => node.exec(argv(args), withEnv(given));
  const run: Cluster['run'] = (args, given) => node.run(argv(args), withEnv(given));
  const kubectl: Cluster['kubectl'] = (args, given) => run(['kubectl', ...args], given);
  const status = async () => JSON.parse(await run(['status', '-o', 'json'])) as NodeStatus;
  const waitForStatus: Cluster['waitForStatus'] = (isDone, { subject, timeoutMs }) =>
    pollStatus({ mini, controller, isDone, subject, timeoutMs: timeoutMs ?? READY_TIMEOUT_MS });
  return {
    node,
    process: controller,
    mini,
    run,
    kubectl,
    apply: async (...objects) => {
      const list = { apiVersion: 'v1', kind: 'List', items: objects };
      await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
    },
    getJson: async (args) => JSON.parse(await kubectl(['get', ...args, '-o', 'json'])),
    status,
    waitForStatus,
    waitReady: (timeoutMs) =>
      waitForStatus((found) => unreadyParts(found).length === 0, {
        subject: 'everything to be Ready',
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    importTestImage: async () => {
      await run(['ctr', 'images', 'import', `${nodePaths.testImages}/busybox.tar`]);
    },
    stop: async () => {
      controller.kill('SIGTERM');
      return waitForExit(controller);
    },
    kill: async () => {
      controller.kill('SIGKILL');
      await waitForExit(controller);
    },
    describe: () => describeCluster({ mini, controller }),
  };
}

async function waitForExit(controller: NodeProcess): Promise<number> {
  return waitFor(() => controller.exitCode !== undefined && { code: controller.exitCode }, {
    subject: 'the controller to end',
    timeoutMs: STOP_TIMEOUT_MS,
    describe: () => lastLines(controller.output(), 60),
  }).then(({ code }) => code);
}

async function pollStatus(input: {
  readonly mini: Cluster['mini'];
  readonly controller: NodeProcess;
  readonly isDone: (status: NodeStatus) => boolean;
  readonly subject: string;
  readonly timeoutMs: number;
}): Promise<NodeStatus> {
  const { mini, controller, isDone, subject, timeoutMs } = input;
  let last = 'no answer yet';
  try {
    return await waitFor(
      async () => {
        if (controller.exitCode !== undefined) {
          throw new Error(`the controller has ended with exit code ${controller.exitCode}`);
        }
        const status = await askStatus(controller.pid).catch(String);
        last = typeof status === 'string' ? status : unreadyParts(status).join('; ');
        return typeof status !== 'string' && isDone(status) ? status : undefined;
      },
      { subject, timeoutMs, intervalMs: 400, describe: () => last },
    );
  } catch (error) {
    const details = await describeCluster({ mini, controller });
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${details}`);
  }
}

/**
 * What `mini-k8s status -o json` prints on the node of a process, without starting it: a wait that starts a program
 * every half second takes a third of a core from what it waits for.
 * @throws UserError when nobody answers.
 */
export function askStatus(pidInNode: number): Promise<NodeStatus> {
  return fetchStatus(`/proc/${pidInNode}/root/run/mini-k8s/status.sock`);
}

/** One sentence for each component, addon and node that is not Ready. */
export function unreadyParts(status: NodeStatus): readonly string[] {
  const node = status.node.isReady ? [] : [`node: ${status.node.message}`];
  const components = status.components.flatMap(({ name, state }) => {
    const isDone = state.type === 'Terminated' && state.termination.reason === 'Completed';
    const isReady = state.type === 'Running' && state.ready;
    return isDone || isReady ? [] : [`${name}: ${JSON.stringify(state)}`];
  });
  const addons = status.addons
    .filter((addon) => !addon.isReady)
    .map((addon) => `${addon.name}: ${addon.message}`);
  return [...node, ...components, ...addons];
}

async function describeCluster(input: {
  readonly mini: Cluster['mini'];
  readonly controller: NodeProcess;
}): Promise<string> {
  const { mini, controller } = input;
  const say = async (args: readonly string[]) => {
    try {
      const { stdout, stderr } = await mini(args, { timeoutMs: 20_000 });
      return `--- mini-k8s ${args.join(' ')}\n${lastLines(stdout + stderr, 60)}`;
    } catch (error) {
      return `--- mini-k8s ${args.join(' ')}\n${String(error)}`;
    }
  };
  const parts = [`--- controller, last lines\n${lastLines(controller.output(), 60)}`];
  for (const args of [
    ['status'],
    ['kubectl', 'get', 'pods', '-A', '-o', 'wide'],
    ['kubectl', 'get', 'events', '-A', '--sort-by=.lastTimestamp'],
  ]) {
    parts.push(await say(args));
  }
  return parts.join('\n');
}

/** The tools take another data directory by environment: their own arguments are not ours. */
function dataDirEnvironment(args: readonly string[]): Record<string, string> {
  const index = args.indexOf('--data-dir');
  const dataDir = index === -1 ? undefined : args[index + 1];
  return dataDir === undefined ? {} : { MINI_K8S_DATA_DIR: dataDir };
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
