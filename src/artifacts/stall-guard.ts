/** Nothing came for too long. */
export class StalledError extends Error {
  override readonly name = 'StalledError';
}

/** Watches that the other side of a request goes on. */
export interface StallGuard {
  /** Aborts when it does not, and when the caller's does. */
  readonly signal: AbortSignal;
  /** The other side has its whole time again. */
  touch(): void;
  /** We are the slow ones, until the next touch. */
  suspend(): void;
  isStalled(): boolean;
  /** The words for it: `no byte came for 30 s`. */
  describe(): string;
  end(): void;
}

/** Aborts after so long without a touch. */
export function createStallGuard(signal: AbortSignal, stallMs: number): StallGuard {
  const stop = new AbortController();
  let isStalled = false;
  let isSuspended = false;
  const timer = setTimeout(() => {
    if (isSuspended) return;
    isStalled = true;
    stop.abort();
  }, stallMs);
  const forward = () => stop.abort(signal.reason);
  signal.addEventListener('abort', forward);
  if (signal.aborted) forward();
  return {
    signal: stop.signal,
    touch: () => {
      isSuspended = false;
      timer.refresh();
    },
    suspend: () => {
      isSuspended = true;
    },
    isStalled: () => isStalled,
    describe: () => `no byte came for ${stallMs / 1000} s`,
    end: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', forward);
    },
  };
}
