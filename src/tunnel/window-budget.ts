import type { WindowBudget } from './yamux/types.ts';

const maxBudgetBytes = 64 * 1024 * 1024;
/**
 * Of the machine's memory. Readers that stall while their windows are large fill all of it, and the C library's heap
 * may keep that size for good: 32 MiB of 1 GiB, two streams of the largest window.
 */
const shareOfMemory = 32;

/** A budget that can be looked at. */
export interface CountedWindowBudget extends WindowBudget {
  readonly limitBytes: number;
  readonly usedBytes: number;
}

/** What the receive windows of one process may add up to, above each stream's own 256 KiB. Pure. */
export function windowBudgetBytes(totalMemoryBytes: number): number {
  return Math.min(maxBudgetBytes, Math.floor(totalMemoryBytes / shareOfMemory));
}

/** One for all sessions of a process. */
export function createWindowBudget(limitBytes: number): CountedWindowBudget {
  let used = 0;
  return {
    limitBytes,
    get usedBytes() {
      return used;
    },
    take: (bytes) => {
      if (used + bytes > limitBytes) return false;
      used += bytes;
      return true;
    },
    give: (bytes) => {
      used = Math.max(0, used - bytes);
    },
  };
}
