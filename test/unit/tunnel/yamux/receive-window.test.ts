import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  idleAfterMs,
  maxWindowBytes,
  nextTarget,
  ReceiveWindow,
} from '../../../../src/tunnel/yamux/receive-window.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** A budget that counts. */
function countedBudget(limit: number) {
  let used = 0;
  return {
    take: (bytes: number) => {
      if (used + bytes > limit) return false;
      used += bytes;
      return true;
    },
    give: (bytes: number) => {
      used -= bytes;
    },
    used: () => used,
  };
}

/** A sender that uses whatever it is granted at `bytesPerMs`, and a reader that takes it at once. */
function transfer(
  window: ReceiveWindow,
  { bytes, bytesPerMs, startMs, growthMs }: Record<string, number>,
): void {
  const part = 16 * KiB;
  for (let sent = 0; sent < (bytes ?? 0); sent += part) {
    const pace = { nowMs: (startMs ?? 0) + sent / (bytesPerMs ?? 1), growthMs: growthMs ?? 0 };
    expect(window.accept(part, pace)).toBe(true);
    window.consume(part, 0, pace);
  }
}

describe('the window after a round', () => {
  test.each([
    ['doubles when it was used up within the time', 256 * KiB, 90, 0, 512 * KiB],
    ['stays when that took longer', 256 * KiB, 101, 0, 256 * KiB],
    ['stays when the reader is behind', 256 * KiB, 90, 128 * KiB + 1, 256 * KiB],
    ['doubles when little is queued', 256 * KiB, 90, 64 * KiB, 512 * KiB],
    ['has an upper bound', 16 * MiB, 1, 0, 16 * MiB],
  ])('%s', (_name, target, elapsedMs, queued, expected) => {
    expect(nextTarget(target, { elapsedMs, growthMs: 100, queued })).toBe(expected);
  });
});

test('a fast long path gets 16 MiB, and gives the budget back at the end', () => {
  const budget = countedBudget(64 * MiB);
  const window = new ReceiveWindow(budget);
  transfer(window, { bytes: 64 * MiB, bytesPerMs: 170 * KiB, startMs: 1, growthMs: 100 });
  expect(window.target).toBe(maxWindowBytes);
  expect(budget.used()).toBe(maxWindowBytes - 256 * KiB);
  window.close();
  expect(budget.used()).toBe(0);
});

test('a slow path keeps the initial window', () => {
  const window = new ReceiveWindow(countedBudget(64 * MiB));
  transfer(window, { bytes: 8 * MiB, bytesPerMs: 1 * KiB, startMs: 1, growthMs: 100 });
  expect(window.target).toBe(256 * KiB);
});

test('an exhausted budget leaves the window as it is', () => {
  const budget = countedBudget(1 * MiB);
  const window = new ReceiveWindow(budget);
  transfer(window, { bytes: 64 * MiB, bytesPerMs: 170 * KiB, startMs: 1, growthMs: 100 });
  expect(window.target).toBe(1 * MiB);
  expect(budget.used()).toBe(768 * KiB);
});

test('a reader that stops is granted nothing more', () => {
  const window = new ReceiveWindow(countedBudget(64 * MiB));
  const pace = { nowMs: 1, growthMs: 100 };
  expect(window.accept(256 * KiB, pace)).toBe(true);
  expect(window.left).toBe(0);
  expect(window.accept(1, pace)).toBe(false);
  expect(window.consume(1, 256 * KiB - 1, pace)).toBe(0);
});

test('ten silent seconds shrink it: nothing is granted until the old credit is used, and the budget gets it back', () => {
  const budget = countedBudget(64 * MiB);
  const window = new ReceiveWindow(budget);
  transfer(window, { bytes: 64 * MiB, bytesPerMs: 170 * KiB, startMs: 1, growthMs: 100 });
  const credit = window.left;
  expect(credit).toBeGreaterThan(8 * MiB);
  const late = { nowMs: 1_000_000, growthMs: 1 };
  let granted = 0;
  let used = 0;
  // One part a second: far too slow to grow again.
  for (let part = 0; window.left > 256 * KiB; part += 1) {
    const pace = { ...late, nowMs: late.nowMs + part * 1000 };
    expect(window.accept(16 * KiB, pace)).toBe(true);
    granted += window.consume(16 * KiB, 0, pace);
    used += 16 * KiB;
  }
  expect(granted).toBe(0);
  expect(used).toBe(credit - 256 * KiB);
  expect(budget.used()).toBeLessThanOrEqual(256 * KiB);
  expect(window.target).toBe(256 * KiB);
});

test('nine silent seconds change nothing', () => {
  const window = new ReceiveWindow(countedBudget(64 * MiB));
  transfer(window, { bytes: 64 * MiB, bytesPerMs: 170 * KiB, startMs: 1, growthMs: 100 });
  const endMs = 1 + (64 * MiB) / (170 * KiB);
  window.accept(1, { nowMs: endMs + idleAfterMs - 1000, growthMs: 100 });
  expect(window.target).toBe(maxWindowBytes);
});

test('what is granted, queued and charged to the budget always adds up', () => {
  const step = fc.record({
    arrives: fc.integer({ min: 0, max: 300 * KiB }),
    reads: fc.integer({ min: 0, max: 300 * KiB }),
    waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 }), fc.constant(11_000)),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const budget = countedBudget(4 * MiB);
      const window = new ReceiveWindow(budget);
      let nowMs = 0;
      let left = 256 * KiB;
      let queued = 0;
      for (const { arrives, reads, waitMs } of steps) {
        nowMs += waitMs;
        const pace = { nowMs, growthMs: 20 };
        expect(window.accept(arrives, pace)).toBe(arrives <= left);
        if (arrives <= left) {
          left -= arrives;
          queued += arrives;
        }
        const taken = Math.min(reads, queued);
        queued -= taken;
        if (taken > 0) left += window.consume(taken, queued, pace);
        expect(window.left).toBe(left);
        // The peer can never make us hold more than the initial window and what the budget has lent.
        expect(left + queued).toBeLessThanOrEqual(256 * KiB + budget.used() + 256 * KiB);
        expect(left + queued - 256 * KiB).toBeLessThanOrEqual(budget.used());
      }
      window.close();
      expect(budget.used()).toBe(0);
    }),
  );
});
