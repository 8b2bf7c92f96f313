import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { clearDeadline, setDeadline } from '../../../src/tunnel/deadlines.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.runAllTimers();
  vi.useRealTimers();
});

describe('deadlines', () => {
  it('are called once, after their time and at most 0.1 s later', () => {
    const calls: string[] = [];
    setDeadline(250, () => calls.push('short'));
    vi.advanceTimersByTime(70);
    setDeadline(250, () => calls.push('long'));
    vi.advanceTimersByTime(179);
    expect(calls).toEqual([]);
    vi.advanceTimersByTime(101);
    expect(calls).toEqual(['short']);
    vi.advanceTimersByTime(5_000);
    expect(calls).toEqual(['short', 'long']);
  });

  it('are not called when cleared, not even by another one', () => {
    const calls: string[] = [];
    const first = setDeadline(100, () => {
      calls.push('first');
      clearDeadline(second);
    });
    const second = setDeadline(100, () => calls.push('second'));
    const third = setDeadline(100, () => calls.push('third'));
    clearDeadline(third);
    clearDeadline(third);
    vi.advanceTimersByTime(1_000);
    expect(calls).toEqual(['first']);
    clearDeadline(first);
  });

  it('leave no timer behind', () => {
    clearDeadline(setDeadline(100, () => {}));
    setDeadline(300, () => {});
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(400);
    expect(vi.getTimerCount()).toBe(0);
  });
});
