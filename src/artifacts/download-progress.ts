import type { Clock } from '../base/time.ts';
import type { ArtifactEvent } from './types.ts';

export interface DownloadProgressOptions {
  /** As events name it. */
  readonly source: string;
  /** Of the blobs, by digest; what is not known at the beginning is learned. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly clock: Clock;
  readonly onEvent: (event: ArtifactEvent) => void;
}

export interface DownloadProgress {
  /**
   * How many bytes of a blob are there; what an earlier process left counts at once.
   * @param totalSize What is learned of its size, where it was not known.
   */
  report(digest: string, size: number, totalSize?: number): void;
}

/** For a rate that lives on a slow line, where a hundredth takes minutes. */
const reportEveryMs = 500;

/** Tells how far a download is: at each hundredth, and at least twice in a second while something comes. */
export function startDownloadProgress(options: DownloadProgressOptions): DownloadProgress {
  const { source, clock, onEvent } = options;
  const known = new Set(options.sizes.keys());
  let totalBytes = [...options.sizes.values()].reduce((sum, size) => sum + size, 0);
  onEvent({ type: 'import-started', source, totalBytes });
  const sizes = new Map<string, number>();
  let doneBytes = 0;
  let reported = { bytes: 0, atMs: clock.now() };
  return {
    report: (digest, size, totalSize) => {
      doneBytes += size - (sizes.get(digest) ?? 0);
      sizes.set(digest, size);
      if (totalSize !== undefined && !known.has(digest)) {
        known.add(digest);
        totalBytes += totalSize;
      }
      const isTime = clock.now() - reported.atMs >= reportEveryMs;
      if (doneBytes - reported.bytes < totalBytes / 100 && !isTime) return;
      reported = { bytes: doneBytes, atMs: clock.now() };
      onEvent({ type: 'import-progress', source, doneBytes, totalBytes });
    },
  };
}
