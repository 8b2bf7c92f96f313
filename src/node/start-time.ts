import type { Clock } from '../base/time.ts';

/** When this run began, on the clock that may be wrong and on the one that only goes forward. */
export interface StartTime {
  /** Milliseconds since the epoch. */
  readonly wallMs: number;
  /** Milliseconds of `performance.now()`. */
  readonly monotonicMs: number;
}

export function startTime(clock: Clock): StartTime {
  return { wallMs: clock.now(), monotonicMs: performance.now() };
}

/**
 * The earliest moment, on today's clock or on the one that we began with, at which this run can have begun: a clock
 * that is set after the start moves either one, and whatever bears a later time is of this run.
 */
export function earliestStart(start: StartTime, nowMs: number, monotonicNowMs: number): number {
  return Math.min(start.wallMs, nowMs - (monotonicNowMs - start.monotonicMs));
}

/** Milliseconds since the start, whatever the wall clock does. */
export function elapsedMs(start: StartTime): number {
  return performance.now() - start.monotonicMs;
}
