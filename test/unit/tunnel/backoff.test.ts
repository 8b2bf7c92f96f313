import { expect, it } from 'vitest';
import { reconnectDelayMs } from '../../../src/tunnel/backoff.ts';

it.each([
  [0, 0, 500],
  [1, 300, 1_000],
  [3, 60_000, 4_000],
  [6, 60_000, 30_000],
  [1_000, 3_600_000, 30_000],
  // Lucky draws used up the small delays while a controller restarted.
  [6, 4_000, 6_000],
])('after %i failures in %i ms the delay is anything below %i ms', (attempt, downMs, limit) => {
  const outage = { attempt, downMs };
  expect(reconnectDelayMs(outage, 0)).toBe(0);
  expect(reconnectDelayMs(outage, 0.5)).toBe(limit / 2);
  expect(reconnectDelayMs(outage, 0.999)).toBeLessThan(limit);
});
