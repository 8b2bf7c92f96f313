import { Socket } from 'node:net';
import type { ByteStream } from './types.ts';

/** How long it may take until what was written before is sent. */
export const lingerMs = 30_000;

/** How long the other side may take, after FIN, to read it and to end as well. */
const afterFinMs = 3_000;

/** What it may still send meanwhile; it has not noticed that nobody listens. */
const maxDroppedBytes = 256 * 1024;

/**
 * Closes as close(2) does: what was written is delivered, and what arrives is dropped. The kernel does it for sockets;
 * on a session's stream RST would overtake what its other side has not read, so it is only sent when that side goes on
 * talking, or takes too long.
 */
export function closeSoon(stream: ByteStream): void {
  if (stream instanceof Socket) {
    stream.destroySoon();
    return;
  }
  if (stream.destroyed) return;
  let timer: NodeJS.Timeout | undefined;
  const resetAfter = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => stream.resetAndDestroy(), ms);
  };
  stream.on('close', () => clearTimeout(timer));
  let dropped = 0;
  stream.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > maxDroppedBytes) stream.resetAndDestroy();
  });
  stream.resume();
  // Most often nothing waits, and FIN goes out at once.
  const isSent = stream.writableLength === 0;
  if (stream.writable) stream.end();
  resetAfter(isSent ? afterFinMs : lingerMs);
  if (!isSent) stream.on('finish', () => resetAfter(afterFinMs));
}
