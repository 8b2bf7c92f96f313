import { expect, it } from 'vitest';
import { createRateLimit } from '../../../src/reconcilers/rate-limit.ts';

it('gives a burst, then one token per interval, to each key', () => {
  let now = 0;
  const limit = createRateLimit({ burst: 3, refillMs: 100, clock: { now: () => now } });
  expect([1, 2, 3, 4].map(() => limit.take('a'))).toEqual([true, true, true, false]);
  expect(limit.take('b')).toBe(true);
  now = 99;
  expect(limit.take('a')).toBe(false);
  now = 100;
  expect([limit.take('a'), limit.take('a')]).toEqual([true, false]);
  now = 10_000;
  expect([1, 2, 3, 4].map(() => limit.take('a'))).toEqual([true, true, true, false]);
});
