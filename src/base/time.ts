import { setTimeout as delay } from 'node:timers/promises';

/** The clock as a parameter, so that pure logic and tests bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/**
 * Resolves after `ms` milliseconds.
 * @throws the signal's reason when it aborts first.
 */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

export interface WaitOptions {
  /** What is waited for, as in "Timed out after 5 s waiting for <subject>". */
  readonly subject: string;
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
  /** The last observed state, printed on time-out. */
  readonly describe?: () => string;
}

/**
 * Polls `probe` until it returns something other than undefined or false, and returns that.
 * @throws Error naming the subject and the last state when the time is over.
 */
export async function waitFor<T>(
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    options.signal?.throwIfAborted();
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() >= deadline) {
      const state = options.describe?.() ?? '';
      throw new Error(
        `Timed out after ${Math.round(options.timeoutMs / 1000)} s waiting for ${options.subject}${state === '' ? '' : `: ${state}`}`,
      );
    }
    await sleep(options.intervalMs ?? 100, options.signal);
  }
}

/** Resolves when the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
