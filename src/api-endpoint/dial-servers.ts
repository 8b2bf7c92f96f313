import type { Socket } from 'node:net';

/** One server to try. */
export interface DialAttempt<T> {
  readonly server: T;
  /** Without an outcome after this long the next attempt begins beside it, milliseconds. */
  readonly staggerMs: number;
}

export interface DialServersOptions<T> {
  /** In the order in which they are tried. */
  readonly attempts: readonly DialAttempt<T>[];
  /** Over all attempts, milliseconds. */
  readonly timeoutMs: number;
  readonly dial: (server: T, signal: AbortSignal) => Promise<Socket>;
  /** Told of each that failed, or that was still silent when the time was over. */
  readonly onFailed: (server: T, error: unknown) => void;
}

export interface DialedServer<T> {
  readonly server: T;
  readonly socket: Socket;
  /** Those that had begun before it and had no outcome yet. */
  readonly outrun: readonly T[];
}

/**
 * Connects to the first server that answers: each failure begins the next attempt at once, silence begins it after a
 * moment. Undefined when none answered in time. Never rejects; nothing that it opened is left over.
 */
export function dialServers<T>(
  options: DialServersOptions<T>,
  signal: AbortSignal,
): Promise<DialedServer<T> | undefined> {
  const { attempts } = options;
  return new Promise((resolve) => {
    const open = new Map<number, AbortController>();
    let next = 0;
    let isDone = false;
    let stagger: NodeJS.Timeout | undefined;

    const finish = (result: DialedServer<T> | undefined) => {
      isDone = true;
      clearTimeout(stagger);
      clearTimeout(limit);
      signal.removeEventListener('abort', giveUp);
      for (const attempt of open.values()) attempt.abort();
      resolve(result);
    };
    const giveUp = () => finish(undefined);
    const begin = () => {
      clearTimeout(stagger);
      const index = next;
      const attempt = attempts[index];
      if (attempt === undefined) {
        if (open.size === 0) finish(undefined);
        return;
      }
      next += 1;
      stagger = setTimeout(begin, attempt.staggerMs);
      const abort = new AbortController();
      open.set(index, abort);
      options.dial(attempt.server, abort.signal).then(
        (socket) => {
          open.delete(index);
          if (isDone) socket.destroy();
          else finish({ server: attempt.server, socket, outrun: begunBefore(index) });
        },
        (error: unknown) => {
          open.delete(index);
          if (isDone) return;
          options.onFailed(attempt.server, error);
          begin();
        },
      );
    };
    const begunBefore = (index: number) =>
      [...open.keys()]
        .filter((other) => other < index)
        .flatMap((other) => attempts[other]?.server ?? []);
    const limit = setTimeout(() => {
      const error = new Error(`no answer within ${options.timeoutMs / 1000} s`);
      for (const server of begunBefore(next)) options.onFailed(server, error);
      giveUp();
    }, options.timeoutMs);
    signal.addEventListener('abort', giveUp);
    if (signal.aborted) giveUp();
    else begin();
  });
}
