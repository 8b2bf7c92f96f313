import { waitFor } from '../../../src/base/time.ts';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import type { TestNode } from '../node/types.ts';
import type { Cluster } from './cluster.ts';

/** The processes that a controller with workloads supervises, in the order in which they become ready. */
export const componentProcesses = [
  'containerd',
  'etcd',
  'kube-apiserver',
  'kube-scheduler',
  'kube-controller-manager',
  'kubelet',
  'kube-proxy',
] as const;

export type ComponentProcess = (typeof componentProcesses)[number];

/** Pids of the processes in the node that execute files of bin/, by the file's name; pids as the node sees them. */
export async function runningComponents(
  node: TestNode,
  binDir = '/var/lib/mini-k8s/bin',
): Promise<Readonly<Record<string, readonly number[]>>> {
  const script = 'cd /proc; for p in [0-9]*; do echo "$p $(readlink "$p/exe")"; done';
  const running: Record<string, number[]> = {};
  for (const line of (await node.run(['sh', '-c', script])).split('\n')) {
    const [pid = '', executable = ''] = line.split(' ');
    if (!executable.startsWith(`${binDir}/`)) continue;
    const name = executable.slice(binDir.length + 1);
    running[name] = [...(running[name] ?? []), Number(pid)];
  }
  return running;
}

/** Names of supervised processes that run now; shims of containers are nobody's children and not among them. */
export async function livingComponents(node: TestNode): Promise<readonly string[]> {
  const running = await runningComponents(node);
  return componentProcesses.filter((name) => running[name] !== undefined);
}

/** Id and restarts of each container, by `<namespace>/<pod>/<container>`. */
export async function containersOf(
  cluster: Cluster,
): Promise<Readonly<Record<string, { readonly id: string; readonly restarts: number }>>> {
  const list = (await cluster.getJson(['pods', '-A'])) as {
    items: {
      metadata: { namespace: string; name: string };
      status: { containerStatuses?: { name: string; containerID: string; restartCount: number }[] };
    }[];
  };
  return Object.fromEntries(
    list.items.flatMap(({ metadata, status }) =>
      (status.containerStatuses ?? []).map((container) => [
        `${metadata.namespace}/${metadata.name}/${container.name}`,
        { id: container.containerID, restarts: container.restartCount },
      ]),
    ),
  );
}

/** What runc sees: ids of running containers' processes, also while no API answers. */
export async function shimCount(node: TestNode): Promise<number> {
  return (await runningComponents(node))['containerd-shim-runc-v2']?.length ?? 0;
}

export function componentOf(status: NodeStatus, name: string): NodeStatus['components'][number] {
  const found = status.components.find((component) => component.name === name);
  if (found === undefined) throw new Error(`status knows no component ${name}`);
  return found;
}

export function isRunningReady(status: NodeStatus, name: string): boolean {
  const { state } = componentOf(status, name);
  return state.type === 'Running' && state.ready;
}

/** Pid by name, of the components that have one. */
export function pidsOf(status: NodeStatus): Readonly<Record<string, number>> {
  return Object.fromEntries(
    status.components.flatMap(({ name, state }) =>
      state.type === 'Running' && state.pid !== undefined ? [[name, state.pid]] : [],
    ),
  );
}

/** Waits until the API server answers that it is ready: less than the whole cluster, and sooner. */
export async function waitForApi(cluster: Cluster, timeoutMs = 90_000): Promise<void> {
  await cluster.waitForStatus((status) => isRunningReady(status, 'kube-apiserver'), {
    subject: 'the API server to be ready',
    timeoutMs,
  });
}

/** Waits until no supervised process of the node is left. */
export async function waitForNoComponents(node: TestNode, timeoutMs: number): Promise<void> {
  let living: readonly string[] = [];
  await waitFor(
    async () => {
      living = await livingComponents(node);
      return living.length === 0;
    },
    { subject: 'all components to end', timeoutMs, describe: () => living.join(', ') },
  );
}
