/** What a collection goes through, from 0.3 ms to 0.3 s of a slow core, which everything else waits for. */
const collections = {
  /** What is young, after a burst of short-lived buffers. */
  young: { type: 'minor', execution: 'sync' },
  whole: { type: 'major', execution: 'sync' },
  /** Whole, with what is merely kept at hand; pages go back to the machine. */
  thorough: { type: 'major', execution: 'sync', flavor: 'last-resort' },
} as const;

/**
 * Collects garbage now. The executable is built with `--expose-gc`; on a Node.js that runs without it nothing happens.
 * @see https://v8.dev/blog/trash-talk for what is young
 */
export function collectGarbage(reach: keyof typeof collections): void {
  globalThis.gc?.(collections[reach]);
}
