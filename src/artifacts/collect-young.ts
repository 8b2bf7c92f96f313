import { collectGarbage } from '../base/collect-garbage.ts';

/** Between two collections: 128 chunks of TLS. A collection takes 0.3 ms, this much at 1 Gbit/s 17 ms. */
const collectAfterBytes = 2 * 2 ** 20;

/**
 * Of so many collections one is of the whole heap, 64 MiB apart: a chunk that was on its way during two young ones counts
 * as old, and several downloads at once make many of these.
 */
const wholeEvery = 32;

/**
 * Frees the chunks of a download soon after they were copied. Left alone, V8 counts their small heads and not the 16 KiB
 * behind each: a fast download then costs a node 25 to 35 MB, and with this 12.
 * @returns to be called with the bytes that came.
 */
export function createYoungCollector(): (bytes: number) => void {
  let left = collectAfterBytes;
  let collections = 0;
  return (bytes) => {
    left -= bytes;
    if (left > 0) return;
    left = collectAfterBytes;
    collections += 1;
    collectGarbage(collections % wholeEvery === 0 ? 'whole' : 'young');
  };
}
