import { type Member, Roster } from '../base/roster.ts';
import type { ByteStream } from './types.ts';

const nothing = Buffer.alloc(0);

/** Looks at many clients with one timer: a timer for each would outnumber what it finds by far. */
export interface CloseProbes {
  /** The client emits `close` soon after it has gone away, until `leave`. */
  watch(client: ByteStream): Watched;
  leave(watched: Watched): void;
}

interface Watched extends Member {
  readonly client: ByteStream;
}

export function createCloseProbes(intervalMs: number): CloseProbes {
  const roster = new Roster<Watched>();
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    for (const { client } of roster) probeClosed(client);
    if (roster.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    watch: (client) => {
      const watched = { client, place: 0 };
      roster.add(watched);
      timer ??= setInterval(look, intervalMs).unref();
      return watched;
    },
    leave: (watched) => void roster.delete(watched),
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
