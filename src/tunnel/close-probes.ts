import type { ByteStream } from './types.ts';

const nothing = Buffer.alloc(0);

/** Looks at many clients with one timer: a timer for each would outnumber what it finds by far. */
export interface CloseProbes {
  /** The client emits `close` soon after it has gone away, until `leave`. */
  watch(client: ByteStream): void;
  leave(client: ByteStream): void;
}

export function createCloseProbes(intervalMs: number): CloseProbes {
  const clients = new Set<ByteStream>();
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    for (const client of clients) probeClosed(client);
  };
  return {
    watch: (client) => {
      clients.add(client);
      timer ??= setInterval(look, intervalMs);
    },
    leave: (client) => {
      clients.delete(client);
      if (clients.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
  };
}

/**
 * Makes a client that is gone emit `close`. A Unix socket's reader cannot tell a half-close from a close, but a write of
 * nothing can: EPIPE, without a byte sent. `onAlive` is called when it is there, as far as this side can tell.
 */
export function probeClosed(client: ByteStream, onAlive?: () => void): void {
  if (!client.writable || client.writableLength > 0) {
    onAlive?.();
    return;
  }
  // Each connection of kube-apiserver ends here, most with EPIPE; whose stack nobody reads costs more than the rest.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    client.write(nothing, (error) => {
      if (!error) onAlive?.();
    });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
