import type { Readable, Writable } from 'node:stream';

/** Below this nothing is held back: it is a message of its own, and somebody waits for it. */
const burstBytes = 2 * 1024;

/**
 * `pipe()` from a session's stream to a socket. TLS hands over 16 KiB at a time, and frames begin anywhere in them: what
 * belongs to one turn of the event loop reaches the socket in one system call, and wakes its reader once.
 */
export function pipeBursts(source: Readable, target: Writable): void {
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    target.uncork();
  };
  const onData = (chunk: Buffer) => {
    if (isCorked || chunk.length < burstBytes) return;
    isCorked = true;
    target.cork();
    setImmediate(uncork);
  };
  // Before pipe's own listener, which writes.
  source.on('data', onData);
  source.pipe(target);
  target.on('unpipe', () => source.off('data', onData));
}
