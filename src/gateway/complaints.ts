import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';

/** Says what peers do wrong, but not as often as they do it. */
export interface Complaints {
  /** Logs as a warning unless the same was said within the last minute. */
  warn(message: string): void;
  /** The same, for what happens all the time on an open port. */
  note(message: string): void;
}

const repeatAfterMs = 60_000;
/** An attacker must not fill the log with addresses: more different ones in a minute are dropped. */
const maxMessages = 100;

export function createComplaints(logger: Logger, clock: Clock): Complaints {
  const saidAt = new Map<string, number>();
  const isDue = (message: string) => {
    const now = clock.now();
    for (const [said, at] of saidAt) {
      if (Math.abs(now - at) >= repeatAfterMs) saidAt.delete(said);
    }
    if (saidAt.has(message) || saidAt.size >= maxMessages) return false;
    saidAt.set(message, now);
    return true;
  };
  return {
    warn: (message) => {
      if (isDue(message)) logger.warn(message);
    },
    note: (message) => {
      if (isDue(message)) logger.debug(message);
    },
  };
}
