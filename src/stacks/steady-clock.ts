import type { Clock } from '../base/time.ts';

/** No wait of this room is longer, so a longer step is a clock that was set. */
const maxStepMs = 60_000;

/**
 * A clock for measuring durations, made from the wall clock: boards without an RTC have theirs set by hours after boot,
 * backwards too, and drift repair must not rest for so long.
 */
export function steadyClock(clock: Clock): Clock {
  let last = clock.now();
  let elapsedMs = 0;
  return {
    now() {
      const now = clock.now();
      elapsedMs += Math.min(Math.max(now - last, 0), maxStepMs);
      last = now;
      return elapsedMs;
    },
  };
}
