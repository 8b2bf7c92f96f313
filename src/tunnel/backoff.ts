const baseMs = 500;
const capMs = 30_000;
const leastCapMs = 2_000;

export interface Outage {
  /** Tries that have failed in a row, from 0. */
  readonly attempt: number;
  /** How long it has lasted, milliseconds. */
  readonly downMs: number;
}

/**
 * Full jitter: anything up to the doubled delay, so that a thousand agents which lost one controller at the same moment
 * do not come back at the same moment. Never much longer than the outage itself has lasted: a controller that
 * restarts has all of them back soon. `random` is in [0, 1). Pure.
 */
export function reconnectDelayMs({ attempt, downMs }: Outage, random: number): number {
  const doubledMs = baseMs * 2 ** Math.min(attempt, 16);
  return random * Math.min(capMs, doubledMs, leastCapMs + downMs);
}
