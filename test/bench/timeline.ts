/** A line that the controller has printed, and when it was seen. */
export interface TimelineEntry {
  readonly atMs: number;
  readonly text: string;
}

export interface Timeline {
  /** Ends the reading; the entries so far. Idempotent. */
  finish(): readonly TimelineEntry[];
}

const READ_INTERVAL_MS = 20;

/** Reads the growing output often enough to date its lines. */
export function readTimeline(output: () => string, startedAt: number): Timeline {
  const entries: TimelineEntry[] = [];
  let seen = 0;
  const read = () => {
    const lines = progressLines(output());
    const atMs = Math.round(performance.now() - startedAt);
    for (const text of lines.slice(seen)) entries.push({ atMs, text });
    seen = lines.length;
  };
  const timer = setInterval(read, READ_INTERVAL_MS);
  return {
    finish: () => {
      clearInterval(timer);
      return entries;
    },
  };
}

/** The finished lines that report progress: `✓ etcd (0.8 s)`. */
export function progressLines(output: string): readonly string[] {
  return output
    .split('\n')
    .slice(0, -1)
    .filter((line) => /^[✓✗]/.test(line));
}
