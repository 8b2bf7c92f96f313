import { expect, it } from 'vitest';
import { reconnectDelayMs } from '../../../src/tunnel/backoff.ts';

it.each([
  [0, 500],
  [1, 1_000],
  [3, 4_000],
  [6, 30_000],
  [1_000, 30_000],
])('after %i failures the delay is anything below %i ms', (attempt, limit) => {
  expect(reconnectDelayMs(attempt, 0)).toBe(0);
  expect(reconnectDelayMs(attempt, 0.5)).toBe(limit / 2);
  expect(reconnectDelayMs(attempt, 0.999)).toBeLessThan(limit);
});
