import { sleep } from '../../../src/base/time.ts';
import type { SoakCluster } from './cluster.ts';
import type { Random } from './random.ts';

/** What happens to nodes while streams run, one thing at a time. */
export interface Disturbances {
  /** Does one thing and waits until its node is connected again. */
  next(): Promise<void>;
  /** Whether anything was done to that node since then; milliseconds of the monotonic clock. */
  touched(nodeName: string, sinceMs: number): boolean;
  /** How often what was done. */
  readonly counts: ReadonlyMap<string, number>;
}

/** A second session of a node is taken this often; more often, it looks like two hosts with one name. */
const rotateEveryMs = 15_000;
/** More than the sessions' patience with a silent line. */
const frozenMs = 6_000;
const maxDelayMs = 40;

/** `edge-1` has a bad line, `edge-2` a bad plug, and to `edge-3` nothing happens that a stream may notice. */
export function createDisturbances(cluster: SoakCluster, random: Random): Disturbances {
  const counts = new Map<string, number>();
  const underway = new Set<string>();
  const lastTouchedMs = new Map<string, number>();
  const rotatedMs = new Map<string, number>();
  const { line } = cluster;

  async function touching(nodeName: string, act: () => Promise<void>): Promise<void> {
    underway.add(nodeName);
    await act();
    await cluster.untilConnected(nodeName);
    underway.delete(nodeName);
    lastTouchedMs.set(nodeName, performance.now());
  }

  async function rotate(nodeName: 'edge-1' | 'edge-3'): Promise<void> {
    const now = performance.now();
    if (now - (rotatedMs.get(nodeName) ?? 0) < rotateEveryMs) return;
    rotatedMs.set(nodeName, now);
    await cluster.rotateCertificate(nodeName);
  }

  const acts = {
    'line cut': () =>
      touching('edge-1', async () => {
        line.cut();
        await cluster.untilGone('edge-1');
        await sleep(random.integer(0, 1_000));
        line.heal();
      }),
    'line frozen': () =>
      touching('edge-1', async () => {
        line.freeze();
        await sleep(frozenMs);
        line.cut();
        line.thaw();
        await cluster.untilGone('edge-1');
        line.heal();
      }),
    'line delayed': async () => line.setDelay(random.integer(0, maxDelayMs)),
    'agent killed': () => touching('edge-2', () => cluster.restartAgent('edge-2')),
    'certificate of edge-1 rotated': () => rotate('edge-1'),
    'certificate of edge-3 rotated': () => rotate('edge-3'),
  };
  const names = Object.keys(acts) as [keyof typeof acts, ...(keyof typeof acts)[]];
  return {
    counts,
    next: async () => {
      const name = random.pick(names);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      await acts[name]();
    },
    touched: (nodeName, sinceMs) =>
      underway.has(nodeName) ||
      (lastTouchedMs.get(nodeName) ?? Number.NEGATIVE_INFINITY) >= sinceMs,
  };
}
