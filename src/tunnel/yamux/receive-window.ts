import { initialWindowBytes } from './frame.ts';
import type { WindowBudget } from './types.ts';

/** At 50 ms 16 MiB are 335 MB/s, which a small machine can carry; the budget keeps the sum of all within bounds. */
export const maxWindowBytes = 24 * 1024 * 1024;

/** A stream that was silent for this long starts again from the initial window. */
export const idleAfterMs = 10_000;

/** Larger windows are topped up in steps of this size, smaller ones when half is used. */
const maxStepBytes = 512 * 1024;

/** How fast the session is, at this moment. */
export interface Pace {
  /** Milliseconds of the monotonic clock. */
  readonly nowMs: number;
  /** A window that is used up within this time is too small for the path. */
  readonly growthMs: number;
  readonly proven: ProvenWindow;
}

/** What a path needed some time ago, it may need again: links do not change within minutes. */
const provenForMs = 600_000;

/** The largest window that a stream of the session used up in time: the next one need not find out step by step. */
export class ProvenWindow {
  #bytes = 0;
  #atMs = 0;

  at(nowMs: number): number {
    if (nowMs - this.#atMs > provenForMs) this.#bytes = 0;
    return this.#bytes;
  }

  prove(bytes: number, nowMs: number): void {
    if (bytes < this.at(nowMs)) return;
    this.#bytes = bytes;
    this.#atMs = nowMs;
  }
}

/**
 * What the peer may send on one stream. It grows while the path could carry more and the reader keeps up, twofold at
 * first, then fourfold at each round trip: 24 MiB after four, where doubling takes seven, each at a fraction of the speed.
 * What was granted cannot be taken back, so shrinking is granting nothing until the rest fits the smaller window.
 */
export class ReceiveWindow {
  readonly #budget: WindowBudget;
  #left = initialWindowBytes;
  #target = initialWindowBytes;
  #borrowed = 0;
  #roundStartMs = 0;
  #roundBytes = 0;
  #lastArrivalMs = 0;

  constructor(budget: WindowBudget) {
    this.#budget = budget;
  }

  /** What the peer may still send. */
  get left(): number {
    return this.#left;
  }

  get target(): number {
    return this.#target;
  }

  /** A data frame of `bytes` arrives. False: the peer was not allowed to send that much. */
  accept(bytes: number, pace: Pace): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    const silentMs = pace.nowMs - this.#lastArrivalMs;
    this.#lastArrivalMs = pace.nowMs;
    if (silentMs > pace.growthMs) {
      this.#roundStartMs = pace.nowMs;
      this.#roundBytes = 0;
    }
    if (silentMs >= idleAfterMs) this.#target = initialWindowBytes;
    return true;
  }

  /** The reader took `bytes` and left `queued`. Returns what is to be granted to the peer, 0 for nothing yet. */
  consume(bytes: number, queued: number, pace: Pace): number {
    this.#roundBytes += bytes;
    if (this.#roundBytes >= this.#target) this.#endRound(queued, pace);
    const held = this.#left + queued;
    if (this.#target - held < stepOf(this.#target)) {
      if (this.#borrowed > 0) this.#giveBack(held);
      return 0;
    }
    const grant = this.#target - held;
    this.#left += grant;
    return grant;
  }

  /** Returns what it took from the budget. */
  close(): void {
    if (this.#borrowed > 0) this.#budget.give(this.#borrowed);
    this.#borrowed = 0;
  }

  #endRound(queued: number, pace: Pace): void {
    const elapsedMs = pace.nowMs - this.#roundStartMs;
    this.#roundStartMs = pace.nowMs;
    this.#roundBytes = 0;
    if (!isTooSmall(this.#target, { elapsedMs, growthMs: pace.growthMs, queued })) return;
    pace.proven.prove(this.#target, pace.nowMs);
    const proven = pace.proven.at(pace.nowMs);
    // What the sockets behind a stalled reader hold looks like one fast round.
    const factors = this.#target === initialWindowBytes ? [2] : [4, 2];
    const steps = factors.map((factor) => Math.min(this.#target * factor, maxWindowBytes));
    // As much as the budget has room for.
    for (const wanted of [Math.max(proven, ...steps), ...steps]) {
      if (this.#growTo(wanted)) return;
    }
  }

  /** False when the budget does not allow it. */
  #growTo(wanted: number): boolean {
    const missing = wanted - initialWindowBytes - this.#borrowed;
    if (missing > 0) {
      if (!this.#budget.take(missing)) return false;
      this.#borrowed += missing;
    }
    this.#target = wanted;
    return true;
  }

  /** After a shrink the peer still holds its old credit, which is paid back as it uses it up. */
  #giveBack(held: number): void {
    const excess = this.#borrowed - (Math.max(this.#target, held) - initialWindowBytes);
    if (excess < initialWindowBytes) return;
    this.#borrowed -= excess;
    this.#budget.give(excess);
  }
}

/** After one whole window was used in `elapsedMs`, with `queued` bytes that the reader has not taken. */
export function isTooSmall(
  target: number,
  round: { readonly elapsedMs: number; readonly growthMs: number; readonly queued: number },
): boolean {
  return round.elapsedMs <= round.growthMs && round.queued <= target / 2;
}

function stepOf(target: number): number {
  return Math.min(target / 2, maxStepBytes);
}
