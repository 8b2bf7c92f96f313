import { type Member, Roster } from '../base/roster.ts';
import type { YamuxStream } from './yamux/types.ts';

export interface StallWatchOptions {
  /** Unread bytes that may wait in all streams together. */
  readonly limitBytes: number;
  /** Over the limit, a stream without progress for this long is closed. 5 min unless given, milliseconds. */
  readonly stalledAfterMs?: number;
  readonly monotonicMs: () => number;
  readonly onStalled: (stream: YamuxStream, unreadBytes: number) => void;
}

/** Closes streams that nobody reads when memory is short; each would keep its window's worth for ever. */
export interface StallWatch {
  /** Watches it until it is closed. */
  add(stream: YamuxStream): void;
  /** Looks now; it looks by itself at intervals while there are streams. */
  sweep(): void;
  /** How many have bytes that nobody has read for 10 s. */
  stalled(): number;
  /** How many are watched. */
  readonly size: number;
  stop(): void;
}

interface Watched extends Member {
  readonly stream: YamuxStream;
  /** Bytes that were read from it so far. */
  readBytes: number;
  sinceMs: number;
}

const defaultStalledAfterMs = 5 * 60_000;
/** Enough over twice the limit. */
const stalledWhenFullMs = 10_000;
/** Between two looks. */
const maxIntervalMs = 5_000;

export function createStallWatch(options: StallWatchOptions): StallWatch {
  const roster = new Roster<Watched>();
  const intervalMs = Math.min(maxIntervalMs, (options.stalledAfterMs ?? defaultStalledAfterMs) / 2);
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
  };
  const sweep = () => {
    if (roster.size === 0) stop();
    else closeStalled(roster, options);
  };
  return {
    add: (stream) => {
      const watched = { stream, readBytes: 0, sinceMs: options.monotonicMs(), place: 0 };
      roster.add(watched);
      timer ??= setInterval(sweep, intervalMs).unref();
      stream.on('close', () => roster.delete(watched));
    },
    sweep,
    stalled: () => {
      const sinceLatestMs = options.monotonicMs() - stalledWhenFullMs;
      return [...roster].filter((watched) => isStalled(watched, sinceLatestMs)).length;
    },
    get size() {
      return roster.size;
    },
    stop,
  };
}

/** Nobody has read anything of it since then, and something waits. */
function isStalled({ stream, readBytes, sinceMs }: Watched, sinceLatestMs: number): boolean {
  const { bytesRead, unreadBytes } = stream;
  return unreadBytes > 0 && bytesRead - unreadBytes === readBytes && sinceMs <= sinceLatestMs;
}

/** The longest stalled go first, until the rest is within the limit. */
function closeStalled(roster: Roster<Watched>, options: StallWatchOptions): void {
  const now = options.monotonicMs();
  let unread = 0;
  for (const watched of roster) {
    const { stream } = watched;
    unread += stream.unreadBytes;
    if (isStalled(watched, now)) continue;
    watched.readBytes = stream.bytesRead - stream.unreadBytes;
    watched.sinceMs = now;
  }
  if (unread <= options.limitBytes) return;
  const patienceMs = options.stalledAfterMs ?? defaultStalledAfterMs;
  const isFull = unread > 2 * options.limitBytes;
  const stalledAfterMs = isFull ? Math.min(patienceMs, stalledWhenFullMs) : patienceMs;
  const stalled = [...roster]
    .filter(({ sinceMs }) => now - sinceMs >= stalledAfterMs)
    .sort((a, b) => a.sinceMs - b.sinceMs);
  for (const { stream } of stalled) {
    if (unread <= options.limitBytes) return;
    unread -= stream.unreadBytes;
    options.onStalled(stream, stream.unreadBytes);
  }
}
