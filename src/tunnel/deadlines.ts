import { type Member, Roster } from '../base/roster.ts';

/** One time limit; it is kept for `clearDeadline`. */
export interface Deadline extends Member {
  /** Milliseconds of the monotonic clock. */
  readonly atMs: number;
  readonly onLate: () => void;
}

const stepMs = 100;
const pending = new Roster<Deadline>();
let timer: NodeJS.Timeout | undefined;

/**
 * `setTimeout` for what hardly ever comes late, and comes by the thousand: all share one timer, which looks ten times a
 * second while there are any. `onLate` is called up to 0.1 s after `timeoutMs`.
 */
export function setDeadline(timeoutMs: number, onLate: () => void): Deadline {
  const deadline = { atMs: performance.now() + timeoutMs, onLate, place: 0 };
  pending.add(deadline);
  timer ??= setInterval(look, stepMs);
  return deadline;
}

/** After it was late, or the second time, it does nothing. */
export function clearDeadline(deadline: Deadline): void {
  pending.delete(deadline);
}

function look(): void {
  const now = performance.now();
  for (const deadline of pending) {
    if (deadline.atMs <= now && pending.delete(deadline)) deadline.onLate();
  }
  if (pending.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
