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

interface Progress {
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
  const streams = new Map<YamuxStream, Progress>();
  const intervalMs = Math.min(maxIntervalMs, (options.stalledAfterMs ?? defaultStalledAfterMs) / 2);
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
  };
  const sweep = () => closeStalled(streams, options);
  return {
    add: (stream) => {
      streams.set(stream, { readBytes: 0, sinceMs: options.monotonicMs() });
      timer ??= setInterval(sweep, intervalMs).unref();
      stream.on('close', () => {
        streams.delete(stream);
        if (streams.size === 0) stop();
      });
    },
    sweep,
    stalled: () =>
      [...streams].filter((entry) => isStalled(entry, options.monotonicMs() - stalledWhenFullMs))
        .length,
    get size() {
      return streams.size;
    },
    stop,
  };
}

/** Nobody has read anything of it since then, and something waits. */
function isStalled(
  [stream, { readBytes, sinceMs }]: [YamuxStream, Progress],
  sinceLatestMs: number,
) {
  const isWaiting = stream.unreadBytes > 0;
  return (
    isWaiting && stream.bytesRead - stream.unreadBytes === readBytes && sinceMs <= sinceLatestMs
  );
}

/** The longest stalled go first, until the rest is within the limit. */
function closeStalled(streams: Map<YamuxStream, Progress>, options: StallWatchOptions): void {
  const now = options.monotonicMs();
  let unread = 0;
  for (const [stream, progress] of streams) {
    unread += stream.unreadBytes;
    if (isStalled([stream, progress], now)) continue;
    progress.readBytes = stream.bytesRead - stream.unreadBytes;
    progress.sinceMs = now;
  }
  if (unread <= options.limitBytes) return;
  const patienceMs = options.stalledAfterMs ?? defaultStalledAfterMs;
  const isFull = unread > 2 * options.limitBytes;
  const stalledAfterMs = isFull ? Math.min(patienceMs, stalledWhenFullMs) : patienceMs;
  const stalled = [...streams]
    .filter(([, { sinceMs }]) => now - sinceMs >= stalledAfterMs)
    .sort(([, a], [, b]) => a.sinceMs - b.sinceMs);
  for (const [stream] of stalled) {
    if (unread <= options.limitBytes) return;
    unread -= stream.unreadBytes;
    options.onStalled(stream, stream.unreadBytes);
  }
}
