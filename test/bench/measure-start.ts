import { sleep } from '../../src/base/time.ts';
import type { NodeProcess, TestNode } from '../support/node/types.ts';
import { milestoneProbes } from './milestones.ts';
import { type ApiView, cpuSecondsByProcess, createApiView, readProcessUsage } from './node-view.ts';
import { readTimeline, type TimelineEntry } from './timeline.ts';

/** A point of a start: when, and what it had cost the node until then. */
export interface Milestone {
  readonly name: string;
  /** Since the controller was spawned. */
  readonly atMs: number;
  /** CPU time of the whole node since then. */
  readonly cpuMs: number;
}

export interface StartResult {
  /** In the order in which they were reached; `all` is the last. */
  readonly milestones: readonly Milestone[];
  /** The controller's own lines, by when they were seen. */
  readonly timeline: readonly TimelineEntry[];
  /** At `all`, the largest first. What has ended counts for its parent, if that waited for it. */
  readonly cpuSecondsByProcess: Readonly<Record<string, number>>;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly stopMs: number;
}

/** A start that has reached everything; the controller still runs. */
export interface RunningStart {
  readonly result: Omit<StartResult, 'stopMs'>;
  /** SIGTERM, and the whole result when it has ended. */
  stop(): Promise<StartResult>;
}

export interface StartOptions {
  /** Path in the node. */
  readonly executable: string;
  readonly dataDir: string;
}

const START_TIMEOUT_MS = 240_000;
const STOP_TIMEOUT_MS = 90_000;
/** Knocking at a closed port costs the node nothing; a request costs its API server about a millisecond. */
const KNOCK_INTERVAL_MS = 25;
const LOOK_INTERVAL_MS = 200;

/**
 * Starts the controller with nothing of the node's in the page cache and waits until everything is Ready.
 * @throws Error with the controller's last lines when that takes too long, or it ends.
 */
export async function measureStart(node: TestNode, options: StartOptions): Promise<RunningStart> {
  await node.dropCaches();
  const disk = await node.disk();
  const cpuBefore = await node.cpuUsageMs();
  const startedAt = performance.now();
  const controller = node.spawn([options.executable, 'controller'], {
    keepOutputBytes: 4 * 1024 ** 2,
  });
  const timeline = readTimeline(() => controller.output(), startedAt);
  const api = createApiView(node, options.dataDir);
  try {
    const clock = async () => ({
      atMs: Math.round(performance.now() - startedAt),
      cpuMs: Math.round((await node.cpuUsageMs()) - cpuBefore),
    });
    const milestones = await reachAll({ node, api, controller, clock });
    const usages = await readProcessUsage(node);
    const after = await node.disk();
    const result = {
      milestones,
      timeline: timeline.finish(),
      cpuSecondsByProcess: cpuSecondsByProcess(usages),
      readBytes: after.readBytes - disk.readBytes,
      writtenBytes: after.writtenBytes - disk.writtenBytes,
    };
    return { result, stop: async () => ({ ...result, stopMs: await stopController(controller) }) };
  } finally {
    timeline.finish();
    api.close();
  }
}

interface ReachOptions {
  readonly node: TestNode;
  readonly api: ApiView;
  readonly controller: NodeProcess;
  readonly clock: () => Promise<{ readonly atMs: number; readonly cpuMs: number }>;
}

async function reachAll(options: ReachOptions): Promise<readonly Milestone[]> {
  const { node, api, controller, clock } = options;
  const milestones: Milestone[] = [];
  let [knock, ...rest] = milestoneProbes(node.name);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (knock !== undefined || rest.length > 0) {
    checkAlive(controller, { deadline, missing: [knock, ...rest].map((probe) => probe?.name) });
    const probes = knock === undefined ? rest : [knock];
    const reached = await Promise.all(
      probes.map(async (probe) => ((await probe.isReached(api)) ? probe : undefined)),
    );
    for (const probe of reached) {
      if (probe !== undefined) milestones.push({ name: probe.name, ...(await clock()) });
    }
    if (reached.includes(knock)) knock = undefined;
    rest = rest.filter((probe) => !reached.includes(probe));
    await sleep(knock === undefined ? LOOK_INTERVAL_MS : KNOCK_INTERVAL_MS);
  }
  const last = milestones.at(-1);
  return last === undefined ? [] : [...milestones, { ...last, name: 'all' }];
}

function checkAlive(
  controller: NodeProcess,
  state: { readonly deadline: number; readonly missing: readonly (string | undefined)[] },
): void {
  const isOver = performance.now() > state.deadline;
  if (controller.exitCode === undefined && !isOver) return;
  const what = isOver
    ? `did not reach ${state.missing.filter(Boolean).join(', ')} in ${START_TIMEOUT_MS / 1000} s`
    : `ended with exit code ${controller.exitCode}`;
  throw new Error(`The controller ${what}; its last lines:\n${lastLines(controller.output())}`);
}

async function stopController(controller: NodeProcess): Promise<number> {
  const startedAt = performance.now();
  controller.kill('SIGTERM');
  const exitCode = await Promise.race([controller.exited, sleep(STOP_TIMEOUT_MS)]);
  if (exitCode === 0) return Math.round(performance.now() - startedAt);
  const how =
    exitCode === undefined ? `not within ${STOP_TIMEOUT_MS / 1000} s` : `with ${exitCode}`;
  throw new Error(`The controller did not end well (${how}):\n${lastLines(controller.output())}`);
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-40).join('\n');
}
