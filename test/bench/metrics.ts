import type { CliResult } from './measure-cli.ts';
import type { IdleResult } from './measure-idle.ts';
import type { InstallResult } from './measure-install.ts';
import type { StartResult } from './measure-start.ts';
import type { WorkerResult } from './measure-worker.ts';
import { type Summary, summarize } from './statistics.ts';

/** Everything that one configuration gave in all its runs. */
export interface VariantResult {
  readonly name: string;
  readonly firstStarts: readonly StartResult[];
  readonly restarts: readonly StartResult[];
  readonly idles: readonly IdleResult[];
  readonly workers: readonly WorkerResult[];
  readonly installs: readonly InstallResult[];
  readonly cli?: CliResult;
}

/** One line of the table. */
export interface Metric {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly decimals: number;
  /** At most this; left out where a value is only reported. */
  readonly target?: number;
  readonly values: (result: VariantResult) => readonly number[];
}

const MIB = 1024 ** 2;
const MB = 1e6;

/** The numbers that a release stands by (docs/benchmarks.md), in the order of the table. */
export const metrics: readonly Metric[] = [
  startMetric('first-readyz', 'first start → /readyz ok', { milestone: 'readyz', target: 6 }),
  startMetric('first-node', 'first start → node Ready', { milestone: 'node', target: 15 }),
  startMetric('first-all', 'first start → addons Ready, top answers', {
    milestone: 'all',
    target: 30,
  }),
  {
    ...seconds('restart-readyz', 'restart → /readyz ok'),
    target: 5,
    values: ({ restarts }) => secondsTo(restarts, 'readyz'),
  },
  {
    // Without a target: metrics-server forgets a node that missed one of its rounds, so two more may have to pass.
    ...seconds('restart-all', 'restart → top answers'),
    values: ({ restarts }) => secondsTo(restarts, 'all'),
  },
  {
    ...seconds('stop', 'clean stop'),
    values: ({ firstStarts }) => firstStarts.flatMap(({ stopMs }) => stopMs / 1000),
  },
  {
    ...seconds('first-readyz-cpu', 'CPU time of the node until /readyz'),
    values: ({ firstStarts }) => cpuSecondsTo(firstStarts, 'readyz'),
  },
  {
    ...seconds('first-all-cpu', 'CPU time of the node until all Ready'),
    values: ({ firstStarts }) => cpuSecondsTo(firstStarts, 'all'),
  },
  idleMetric('idle-anonymous', 'anonymous memory, idle', {
    ...{ unit: 'MiB', decimals: 0, target: 350 },
    value: ({ anonymousBytes }) => anonymousBytes / MIB,
  }),
  idleMetric('idle-supervisor', "supervisor's own anonymous memory", {
    ...{ unit: 'MiB', decimals: 1, target: 30 },
    value: ({ anonymousBytesByProcess }) => (anonymousBytesByProcess['mini-k8s'] ?? 0) / MIB,
  }),
  idleMetric('idle-reads', 'read from disk, idle', {
    ...{ unit: 'MB/min', decimals: 2, target: 1 },
    value: ({ readBytesPerMinute }) => readBytesPerMinute / MB,
  }),
  idleMetric('idle-writes', 'written to disk, idle', {
    ...{ unit: 'MB/min', decimals: 2 },
    value: ({ writtenBytesPerMinute }) => writtenBytesPerMinute / MB,
  }),
  idleMetric('idle-cpu', 'CPU, idle', {
    ...{ unit: '% of a core', decimals: 1, target: 6 },
    value: ({ cpuPercent }) => cpuPercent,
  }),
  {
    ...{ id: 'executable', title: 'size of the executable', unit: 'MB', decimals: 1, target: 112 },
    values: ({ cli }) => (cli === undefined ? [] : [cli.executableBytes / MB]),
  },
  {
    ...{ id: 'version', title: 'mini-k8s --version', unit: 'ms', decimals: 0, target: 60 },
    values: ({ cli }) => cli?.versionMs ?? [],
  },
  {
    ...{ id: 'version-cold', title: '--version, nothing cached', unit: 'ms', decimals: 0 },
    values: ({ cli }) => cli?.coldVersionMs ?? [],
  },
  workerMetric('join', 'worker with artifacts → node Ready', {
    ...{ unit: 's', decimals: 1, target: 15 },
    value: ({ joinMs }) => joinMs / 1000,
  }),
  workerMetric('join-download', 'worker with an empty disk → node Ready', {
    ...{ unit: 's', decimals: 1 },
    value: ({ downloadJoinMs }) => downloadJoinMs / 1000,
  }),
  workerMetric('worker-anonymous', 'anonymous memory of a worker', {
    ...{ unit: 'MiB', decimals: 0, target: 130 },
    value: ({ anonymousBytes }) => anonymousBytes / MIB,
  }),
  workerMetric('worker-supervisor', "its supervisor's", {
    ...{ unit: 'MiB', decimals: 1, target: 35 },
    value: ({ supervisorBytes }) => supervisorBytes / MIB,
  }),
  workerMetric('controller-supervisor', "its controller's supervisor's", {
    ...{ unit: 'MiB', decimals: 1, target: 30 },
    value: ({ controllerSupervisorBytes }) => controllerSupervisorBytes / MIB,
  }),
  {
    ...seconds('install', 'controller install with a bundle → all Ready'),
    target: 45,
    values: ({ installs }) => installs.map(({ installMs }) => installMs / 1000),
  },
  {
    ...seconds('reinstall', 'the same again, nothing to change'),
    target: 3,
    values: ({ installs }) => installs.map(({ reinstallMs }) => reinstallMs / 1000),
  },
  workerMetric('controller-disk', 'on disk, controller with workloads', {
    ...{ unit: 'MB', decimals: 0, target: 950 },
    value: ({ controllerDisk }) => controllerDisk.totalBytes / MB,
  }),
  workerMetric('worker-disk', 'on disk, worker', {
    ...{ unit: 'MB', decimals: 0, target: 480 },
    value: ({ disk }) => disk.totalBytes / MB,
  }),
];

/** A metric's numbers over all runs; undefined when it was not measured. */
export function summaryOf(metric: Metric, result: VariantResult): Summary | undefined {
  return summarize(metric.values(result));
}

/** `undefined` where there is nothing to judge. */
export function isWithinTarget(metric: Metric, summary: Summary | undefined): boolean | undefined {
  if (metric.target === undefined || summary === undefined) return undefined;
  return summary.median <= metric.target;
}

function seconds(id: string, title: string) {
  return { id, title, unit: 's', decimals: 1 } as const;
}

function startMetric(
  id: string,
  title: string,
  { milestone, target }: { readonly milestone: string; readonly target: number },
): Metric {
  return {
    ...seconds(id, title),
    target,
    values: ({ firstStarts }) => secondsTo(firstStarts, milestone),
  };
}

function secondsTo(starts: readonly StartResult[], milestone: string): number[] {
  return starts.flatMap(({ milestones }) => {
    const reached = milestones.find(({ name }) => name === milestone);
    return reached === undefined ? [] : [reached.atMs / 1000];
  });
}

function cpuSecondsTo(starts: readonly StartResult[], milestone: string): number[] {
  return starts.flatMap(({ milestones }) => {
    const reached = milestones.find(({ name }) => name === milestone);
    return reached === undefined ? [] : [reached.cpuMs / 1000];
  });
}

interface ResultMetricOptions<T> {
  readonly unit: string;
  readonly decimals: number;
  readonly target?: number;
  readonly value: (result: T) => number;
}

function idleMetric(id: string, title: string, options: ResultMetricOptions<IdleResult>): Metric {
  const { value, ...rest } = options;
  return { id, title, ...rest, values: ({ idles }) => idles.map(value) };
}

function workerMetric(
  id: string,
  title: string,
  options: ResultMetricOptions<WorkerResult>,
): Metric {
  const { value, ...rest } = options;
  return { id, title, ...rest, values: ({ workers }) => workers.map(value) };
}
