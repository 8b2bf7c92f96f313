import { expect, it } from 'vitest';
import { earliestStart } from '../../../src/node/start-time.ts';

const start = { wallMs: 1_000_000, monotonicMs: 500 };

it.each([
  ['the clock is left alone', 1_010_000, 10_500, 1_000_000],
  ['the clock is set forward by an hour', 4_610_000, 10_500, 1_000_000],
  ['the clock is set back by an hour', -2_590_000, 10_500, -2_600_000],
])('earliestStart when %s', (_case, nowMs, monotonicNowMs, expected) => {
  expect(earliestStart(start, nowMs, monotonicNowMs)).toBe(expected);
});
