const baseMs = 500;
const capMs = 30_000;

/**
 * Full jitter: anything up to the doubled delay, so that a thousand agents which lost one controller at the same moment
 * do not come back at the same moment. `attempt` counts from 0; `random` is in [0, 1). Pure.
 */
export function reconnectDelayMs(attempt: number, random: number): number {
  return random * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 16));
}
