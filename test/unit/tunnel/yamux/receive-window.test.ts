import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  idleAfterMs,
  isTooSmall,
  maxWindowBytes,
  ProvenWindow,
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

interface Transfer {
  readonly bytes: number;
  readonly bytesPerMs: number;
  readonly startMs: number;
  readonly growthMs: number;
  readonly proven?: ProvenWindow;
}

/** A sender that uses whatever it is granted at `bytesPerMs`, and a reader that takes it at once. */
function transfer(
  window: ReceiveWindow,
  { bytes, bytesPerMs, startMs, growthMs, proven = new ProvenWindow() }: Transfer,
): void {
  const part = 16 * KiB;
  for (let sent = 0; sent < bytes; sent += part) {
    const pace = { nowMs: startMs + sent / bytesPerMs, growthMs, proven };
    expect(window.accept(part, pace)).toBe(true);
    window.consume(part, 0, pace);
  }
}

describe('a window is too small', () => {
  test.each([
    ['when it was used up within the time', 90, 0, true],
    ['not when that took longer', 101, 0, false],
    ['not when the reader is behind', 90, 128 * KiB + 1, false],
    ['when little is queued', 90, 64 * KiB, true],
  ])('%s', (_name, elapsedMs, queued, expected) => {
    expect(isTooSmall(256 * KiB, { elapsedMs, growthMs: 100, queued })).toBe(expected);
  });
});

describe('a stream on a path that is known', () => {
  const fast = { bytesPerMs: 170 * KiB, growthMs: 100 };
  const known = () => {
    const proven = new ProvenWindow();
    proven.prove(8 * MiB, 1);
    return proven;
  };

  test('gets the proven window after its first round, and goes on from there', () => {
    const window = new ReceiveWindow(countedBudget(64 * MiB));
    const proven = known();
    transfer(window, { ...fast, bytes: 256 * KiB, startMs: 1, proven });
    expect(window.target).toBe(8 * MiB);
    transfer(window, { ...fast, bytes: 8 * MiB, startMs: 3, proven });
    expect(window.target).toBe(maxWindowBytes);
    expect(proven.at(100)).toBe(8 * MiB);
  });

  test('earns it: a slow one stays small', () => {
    const window = new ReceiveWindow(countedBudget(64 * MiB));
    transfer(window, {
      bytesPerMs: 1 * KiB,
      growthMs: 100,
      bytes: 4 * MiB,
      startMs: 1,
      proven: known(),
    });
    expect(window.target).toBe(256 * KiB);
  });

  test.each([
    [1.5 * MiB, 0.5 * MiB],
    [0.5 * MiB, 0.5 * MiB],
    [0, 0.25 * MiB],
  ])('takes what step a budget of %d has room for', (limit, expected) => {
    const window = new ReceiveWindow(countedBudget(limit));
    transfer(window, { ...fast, bytes: 256 * KiB, startMs: 1, proven: known() });
    expect(window.target).toBe(expected);
  });

  test('starts from the beginning ten minutes later', () => {
    const late = new ReceiveWindow(countedBudget(64 * MiB));
    transfer(late, { ...fast, bytes: 256 * KiB, startMs: 600_002, proven: known() });
    expect(late.target).toBe(512 * KiB);
    const timely = new ReceiveWindow(countedBudget(64 * MiB));
    transfer(timely, { ...fast, bytes: 256 * KiB, startMs: 599_000, proven: known() });
    expect(timely.target).toBe(8 * MiB);
  });
});

test('a fast long path needs four rounds to the largest window', () => {
  const window = new ReceiveWindow(countedBudget(64 * MiB));
  const fast = { bytesPerMs: 170 * KiB, growthMs: 100, proven: new ProvenWindow() };
  const targets = [256 * KiB, 512 * KiB, 2 * MiB, 8 * MiB].map((bytes, round) => {
    transfer(window, { ...fast, bytes, startMs: 1 + round * 60 });
    return window.target;
  });
  expect(targets).toEqual([512 * KiB, 2 * MiB, 8 * MiB, maxWindowBytes]);
});

test('a fast long path gets 24 MiB, and gives the budget back at the end', () => {
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
  const pace = { nowMs: 1, growthMs: 100, proven: new ProvenWindow() };
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
  const late = { nowMs: 1_000_000, growthMs: 1, proven: new ProvenWindow() };
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
  const pace = { nowMs: endMs + idleAfterMs - 1000, growthMs: 100, proven: new ProvenWindow() };
  window.accept(1, pace);
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
      const proven = new ProvenWindow();
      let nowMs = 0;
      let left = 256 * KiB;
      let queued = 0;
      for (const { arrives, reads, waitMs } of steps) {
        nowMs += waitMs;
        const pace = { nowMs, growthMs: 20, proven };
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
