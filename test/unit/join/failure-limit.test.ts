import { describe, expect, it } from 'vitest';
import { createFailureLimit } from '../../../src/join/failure-limit.ts';

function setUp() {
  let nowMs = 1_000_000;
  const limit = createFailureLimit({
    clock: { now: () => nowMs },
    maxFailures: 3,
    windowMs: 60_000,
    maxKeys: 2,
  });
  const fail = (key: string, times: number) => {
    for (let count = 0; count < times; count += 1) limit.record(key);
  };
  return { limit, fail, pass: (ms: number) => (nowMs += ms) };
}

describe('the limit of failures', () => {
  it('lets a key wait for the end of its window, and only that key', () => {
    const { limit, fail, pass } = setUp();
    fail('a', 2);
    expect(limit.waitSeconds('a')).toBe(0);
    pass(10_000);
    fail('a', 1);
    expect(limit.waitSeconds('a')).toBe(50);
    expect(limit.waitSeconds('b')).toBe(0);
    pass(50_000);
    expect(limit.waitSeconds('a')).toBe(0);
  });

  it('locks nobody out for long when the clock is set back', () => {
    const { limit, fail, pass } = setUp();
    fail('a', 3);
    pass(-3_600_000);
    expect(limit.waitSeconds('a')).toBe(0);
  });

  it('forgets the key that has not failed for longest', () => {
    const { limit, fail } = setUp();
    fail('a', 3);
    fail('b', 3);
    fail('a', 1);
    fail('c', 3);
    expect(['a', 'b', 'c'].map((key) => limit.waitSeconds(key) > 0)).toEqual([true, false, true]);
  });
});
