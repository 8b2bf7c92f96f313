import type { Clock } from '../base/time.ts';

/** A token bucket per key. */
export interface RateLimit {
  /** False when the key has used up its tokens. */
  take(key: string): boolean;
}

export interface RateLimitOptions {
  /** Tokens that a key has at most and at first. */
  readonly burst: number;
  /** Time in which one token comes back, milliseconds. */
  readonly refillMs: number;
  readonly clock: Clock;
}

/** Memory is bounded by the keys that are not full again. */
export function createRateLimit({ burst, refillMs, clock }: RateLimitOptions): RateLimit {
  /** When each key will be full again, milliseconds since the epoch: one number says how many tokens are left. */
  const fullAt = new Map<string, number>();
  return {
    take: (key) => {
      const now = clock.now();
      for (const [other, time] of fullAt) if (time <= now) fullAt.delete(other);
      const next = Math.max(fullAt.get(key) ?? now, now) + refillMs;
      if (next - now > burst * refillMs) return false;
      fullAt.set(key, next);
      return true;
    },
  };
}
