import type { Clock } from '../base/time.ts';

/** Counts failures by key, so that guessing is slow and one noisy machine costs its neighbours nothing. */
export interface FailureLimit {
  /** Seconds until the next try is heard; 0: now. */
  waitSeconds(key: string): number;
  record(key: string): void;
}

export interface FailureLimitOptions {
  readonly clock: Clock;
  /** More than this within `windowMs` and the key has to wait for the window's end. */
  readonly maxFailures: number;
  readonly windowMs: number;
  /** Memory is bounded: the key that has not failed for longest is forgotten first. */
  readonly maxKeys: number;
}

interface Failures {
  readonly since: number;
  readonly count: number;
}

export function createFailureLimit(options: FailureLimitOptions): FailureLimit {
  const { clock, maxFailures, windowMs, maxKeys } = options;
  const failures = new Map<string, Failures>();
  const current = (key: string): Failures | undefined => {
    const found = failures.get(key);
    // A clock that was set back must not lock anybody out for long.
    const ageMs = found === undefined ? windowMs : Math.abs(clock.now() - found.since);
    return ageMs < windowMs ? found : undefined;
  };
  return {
    waitSeconds(key) {
      const found = current(key);
      if (found === undefined || found.count < maxFailures) return 0;
      return Math.max(1, Math.ceil((found.since + windowMs - clock.now()) / 1000));
    },
    record(key) {
      const { since, count } = current(key) ?? { since: clock.now(), count: 0 };
      failures.delete(key);
      failures.set(key, { since, count: count + 1 });
      const [oldest] = failures.keys();
      if (failures.size > maxKeys && oldest !== undefined) failures.delete(oldest);
    },
  };
}
