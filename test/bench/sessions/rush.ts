import { waitFor } from '../../../src/base/time.ts';
import type { ControllerProcess } from '../../integration/tunnel/processes.ts';

/** How agents came: how long it took, and how many at most in one second. */
export interface Rush {
  readonly agents: number;
  readonly allMs: number;
  /** Sessions that began. */
  readonly mostSessionsPerSecond: number;
  /** TCP connections that came, those that were refused or failed included. */
  readonly mostConnectionsPerSecond: number;
  readonly refusedConnections: number;
  readonly failedHandshakes: number;
  readonly duplicates: number;
}

/** The controller's count of connections at a moment of the monotonic clock. */
export interface Arrivals {
  readonly atMs: number;
  readonly connections: number;
}

const timeoutMs = 300_000;
const intervalMs = 250;

/** Waits until every agent has a session that has answered a ping; counts from `startedAtMs`. */
export async function watchRush(
  controller: ControllerProcess,
  agents: number,
  startedAtMs: number,
): Promise<Rush> {
  const arrivals: Arrivals[] = [{ atMs: startedAtMs, connections: 0 }];
  let state = '';
  const counts = await waitFor(
    async () => {
      const seen = await controller.ask('count');
      arrivals.push({
        atMs: performance.now(),
        connections: seen.gateway.acceptedConnections,
      });
      state = `${seen.connected} of ${agents}, gateway ${JSON.stringify(seen.gateway)}`;
      return seen.connected === agents ? seen : undefined;
    },
    { subject: `${agents} agents`, timeoutMs, intervalMs, describe: () => state },
  );
  return {
    agents,
    allMs: performance.now() - startedAtMs,
    mostSessionsPerSecond: Math.max(...counts.acceptedAt.map(([, sessions]) => sessions)),
    mostConnectionsPerSecond: mostPerSecond(arrivals),
    refusedConnections: counts.gateway.refusedConnections,
    failedHandshakes: counts.gateway.failedHandshakes,
    duplicates: counts.duplicates,
  };
}

/** The steepest second or more between two looks. Pure. */
export function mostPerSecond(arrivals: readonly Arrivals[]): number {
  let most = 0;
  let from = 0;
  for (const [index, { atMs, connections }] of arrivals.entries()) {
    // The latest look that is a second old or older.
    while (from + 1 < index && atMs - (arrivals[from + 1]?.atMs ?? atMs) >= 1000) from += 1;
    const start = arrivals[from];
    if (start === undefined || from === index) continue;
    const seconds = Math.max(1, (atMs - start.atMs) / 1000);
    most = Math.max(most, (connections - start.connections) / seconds);
  }
  return Math.round(most);
}
