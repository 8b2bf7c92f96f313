import { collectGarbage } from '../base/collect-garbage.ts';
import { sleep } from '../base/time.ts';

export interface KeepMemorySmallOptions {
  /** `collectTwice`. */
  readonly collect: () => void;
  readonly sleep?: typeof sleep;
}

/** What the last of a start leaves, first lists of the API among it, is garbage by then, milliseconds. */
const settleMs = 20_000;
/** What comes late follows soon, each time after a longer pause: addons, second lists, code that ran a few times. */
const growth = 4;
/** A burst of logs or downloads makes the heap larger than it needs to be afterwards, milliseconds. */
const againMs = 60 * 60_000;

/**
 * Collects garbage once a node has started and less and less often after that, until aborted. V8 leaves alone what an idle process
 * holds: parsed configuration, code that ran once, buffers of downloads; on a node of 1 GiB these are pages that the
 * page cache lacks.
 */
export async function keepMemorySmall(
  options: KeepMemorySmallOptions,
  signal: AbortSignal,
): Promise<void> {
  const pause = options.sleep ?? sleep;
  for (let waitMs = settleMs; !signal.aborted; waitMs = Math.min(growth * waitMs, againMs)) {
    await pause(waitMs, signal).catch(() => {});
    if (!signal.aborted) options.collect();
  }
}

/**
 * All garbage: 0.1 to 0.3 s of a slow core, which the tunnel waits for. Twice, since code that was not used between two
 * collections goes with the later one.
 */
export function collectTwice(): void {
  collectGarbage('thorough');
  setTimeout(() => collectGarbage('thorough'), secondRoundMs).unref();
}

/** Not at once: whatever waited for the first round has its turn. */
const secondRoundMs = 1000;
