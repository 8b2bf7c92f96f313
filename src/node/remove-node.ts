import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { UserError } from '../base/errors.ts';
import { type Clock, systemClock } from '../base/time.ts';
import { pair, pkiFiles } from '../components/layout.ts';
import { isNodeName } from '../config/names.ts';
import { nearest } from '../config/nearest.ts';
import { defaultDataDir, pathsFor } from '../config/paths.ts';
import { createJoinRecords, type JoinRecords } from '../join/join-records.ts';
import { createKubeClient } from '../kube-client/client.ts';
import { KubeConnectionError } from '../kube-client/errors.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { controlPlaneLabels } from '../reconcilers/node-labels.ts';
import { type NodeObject, nodeResource } from '../reconcilers/resources.ts';
import { adminKubeconfigFile } from './admin-kubeconfig.ts';
import { readHolder } from './lock.ts';

export interface RemoveNodeOptions {
  readonly nodeName: string;
  /** Goes on when pods do not end in time, or nobody can tell. */
  readonly isForced: boolean;
  /** How long the eviction of pods may take, milliseconds. */
  readonly timeoutMs: number;
  /** Told of each thing that was done, one line. */
  readonly onStep: (text: string) => void;
}

/** How the cluster is reached. */
export interface ClusterTools {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Runs kubectl as the administrator, gives its lines to `onLine` as they come, and resolves with its exit code. */
  readonly kubectl: (args: readonly string[], onLine: (line: string) => void) => Promise<number>;
}

/**
 * Takes a worker out of the cluster: its pods are evicted, its name is refused from then on, its Node is deleted (which
 * makes the controllers close its tunnel). What was done before is not done again. A fresh token lets it join again.
 * @throws UserError for a controller, for a name that nobody has, and when pods cannot be evicted.
 */
export async function removeNode(options: RemoveNodeOptions, tools: ClusterTools): Promise<void> {
  try {
    await removeStepwise(options, tools);
  } catch (error) {
    if (!(error instanceof KubeConnectionError)) throw error;
    throw new UserError({
      what: `remove node ${options.nodeName}`,
      why: error.message,
      fix: 'see whether the controller runs (mini-k8s status), then do it again',
      cause: error,
    });
  }
}

async function removeStepwise(options: RemoveNodeOptions, tools: ClusterTools): Promise<void> {
  const { nodeName, onStep } = options;
  const { client, clock } = tools;
  const records = createJoinRecords(client);
  const ref = { resource: nodeResource, name: nodeName };
  if (!isNodeName(nodeName)) throw await unknownNode(nodeName, tools, records);
  const [node, record] = await Promise.all([client.get<NodeObject>(ref), records.get(nodeName)]);
  if (node === undefined && record === undefined) throw await unknownNode(nodeName, tools, records);
  if (node !== undefined) {
    requireWorker(node);
    await drain(node, options, tools);
  }
  if (record?.removedAt === undefined) {
    // Before the Node is deleted: its kubelet must not come in between and register again.
    await records.markRemoved(nodeName, clock.now());
    onStep(`node ${nodeName} marked as removed: it can come back with a fresh token only`);
  }
  if (node === undefined) {
    onStep(`node ${nodeName} was not registered any more`);
    return;
  }
  await client.delete(ref);
  onStep(`node ${nodeName} deleted: the controllers close its tunnel`);
}

/** The running cluster of this machine, as its administrator. @throws UserError when this is no controller. */
export async function openCluster(dataDir: string | undefined): Promise<ClusterTools> {
  const holder =
    dataDir === undefined ? await readHolder(pathsFor()).catch(() => undefined) : undefined;
  const paths = pathsFor({ dataDir: dataDir ?? holder?.dataDir ?? defaultDataDir });
  const kubeconfig = await adminKubeconfigFile(paths.dataDir);
  const server = /server: "?(https:[^\s"]+)/.exec(await readFile(kubeconfig, 'utf8'))?.[1];
  return {
    clock: systemClock,
    client: createKubeClient({
      server: server ?? 'https://127.0.0.1:6443',
      caFile: pkiFiles(paths).ca.certFile,
      ...pair(paths.pkiDir, 'admin-client'),
    }),
    kubectl: (args, onLine) =>
      runKubectl(`${paths.binDir}/kubectl`, {
        args: [`--kubeconfig=${kubeconfig}`, ...args],
        onLine,
      }),
  };
}

/**
 * `90s`, `2m` or `1h` as milliseconds.
 * @throws UserError for anything else.
 */
export function parseDrainTimeout(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };
  const timeoutMs = Number(digits) * (unitsMs[unit] ?? Number.NaN);
  if (timeoutMs > 0) return timeoutMs;
  throw new UserError({
    what: 'remove the node',
    why: `--timeout ${JSON.stringify(text)} is not a duration`,
    fix: 'use --timeout with a number and s, m or h, such as 90s or 5m',
  });
}

async function unknownNode(
  nodeName: string,
  { client }: ClusterTools,
  records: JoinRecords,
): Promise<UserError> {
  const { items } = await client.list<NodeObject>(nodeResource, { metadataOnly: true });
  const joined = (await records.list()).filter(({ removedAt }) => removedAt === undefined);
  const names = [
    ...items.map(({ metadata }) => metadata.name),
    ...joined.map((entry) => entry.nodeName),
  ];
  const meant = nearest(nodeName, names);
  return new UserError({
    what: `remove node ${nodeName}`,
    why: 'there is no node of that name',
    fix: meant === undefined ? 'mini-k8s kubectl get nodes' : `mini-k8s node remove ${meant}`,
  });
}

function requireWorker({ metadata }: NodeObject): void {
  const labels = Object.keys(metadata.labels ?? {});
  if (!Object.keys(controlPlaneLabels).some((label) => labels.includes(label))) return;
  throw new UserError({
    what: `remove node ${metadata.name}`,
    why: 'it is a controller, and the cluster lives on it',
    fix: 'to give the cluster up, run on that machine: mini-k8s reset --yes',
  });
}

async function drain(
  node: NodeObject,
  options: RemoveNodeOptions,
  tools: ClusterTools,
): Promise<void> {
  const { nodeName, isForced, timeoutMs, onStep } = options;
  const problem = readinessProblem(node);
  if (problem !== undefined) {
    if (!isForced) throw notReady(nodeName, problem);
    onStep(`node ${nodeName} ${problem}: not waiting for its pods`);
    return;
  }
  onStep(`evicting the pods of node ${nodeName}, ${timeoutMs / 1000} s at most`);
  const lines: string[] = [];
  const exitCode = await tools.kubectl(
    [
      ...['drain', nodeName, '--ignore-daemonsets', '--delete-emptydir-data'],
      ...[`--timeout=${timeoutMs / 1000}s`, ...(isForced ? ['--force'] : [])],
    ],
    (line) => {
      lines.splice(0, Math.max(0, lines.length - 4));
      lines.push(line);
      onStep(`  ${line}`);
    },
  );
  if (exitCode === 0) return;
  if (!isForced) throw notDrained(nodeName, lines);
  onStep(`node ${nodeName} still has pods: going on, as --force says`);
}

/** What is wrong with the node, as it continues "node x …"; undefined for one that is Ready. */
function readinessProblem({ status }: NodeObject): string | undefined {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return undefined;
  return ready?.message === undefined || ready.message === ''
    ? 'has never been Ready'
    : `is not Ready (${ready.message})`;
}

function notReady(nodeName: string, problem: string): UserError {
  return new UserError({
    what: `remove node ${nodeName}`,
    why: `it ${problem}, so nobody can tell when its pods have ended`,
    fix: `start it again, or: mini-k8s node remove ${nodeName} --force`,
  });
}

function notDrained(nodeName: string, lines: readonly string[]): UserError {
  const error = lines.findLast((line) => /error|cannot/i.test(line)) ?? lines.at(-1);
  return new UserError({
    what: `remove node ${nodeName}`,
    why: `its pods could not be evicted: ${(error ?? 'kubectl drain failed').replace(/^error: /, '')}`,
    fix: `give it a longer --timeout, or go on regardless: mini-k8s node remove ${nodeName} --force`,
  });
}

interface KubectlRun {
  readonly args: readonly string[];
  readonly onLine: (line: string) => void;
}

async function runKubectl(executable: string, { args, onLine }: KubectlRun): Promise<number> {
  const child = spawn(executable, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', onLine);
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
}
