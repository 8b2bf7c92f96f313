import { Socket } from 'node:net';
import { closeSoon, lingerMs } from './close-soon.ts';
import { pipeBursts } from './pipe-bursts.ts';
import type { ByteStream } from './types.ts';

const nothing = Buffer.alloc(0);

/** What differs between the two ends of the tunnel. */
export interface RelayOptions {
  /**
   * The client is kube-apiserver on a socket: target bytes are held until it has sent its first, because it fails when
   * anything follows the 200 that it is still reading; and, half-closed, it is probed this often, milliseconds.
   */
  readonly halfClosedProbeMs?: number;
}

/**
 * Joins a client and a connected target until both are closed. Each direction is independent: FIN passes as FIN. An
 * abort of one side aborts the other. Backpressure is `pipe()`'s, so a stalled side costs two stream buffers.
 */
export function relay(client: ByteStream, target: ByteStream, options: RelayOptions): void {
  const probeMs = options.halfClosedProbeMs;
  let isReleased = false;
  const release = () => {
    if (isReleased) return;
    isReleased = true;
    carry(target, client);
  };
  const onClientEnd = () => {
    release();
    if (probeMs !== undefined) watchHalfClosed(client, probeMs);
  };
  if (probeMs === undefined) release();
  else client.once('data', release);
  client.once('end', onClientEnd);
  client.once('close', () => {
    if (!isFinished(client)) closeTarget(target, client.readableEnded);
  });
  target.once('close', () => {
    if (!isFinished(target)) abortClient(client, target);
  });
  carry(client, target);
  // Both may have happened while the target was being dialled; their events are over then.
  if (client.readableEnded) onClientEnd();
  if (client.destroyed) closeTarget(target, false);
  if (target.destroyed) abortClient(client, target);
}

/** What comes out of a socket is in large parts already. */
function carry(source: ByteStream, target: ByteStream): void {
  if (source instanceof Socket) source.pipe(target);
  else pipeBursts(source, target);
}

/** Finds clients that went away, whose target would else wait for them until it speaks. */
function watchHalfClosed(client: ByteStream, intervalMs: number): void {
  probe(client);
  client.once('close', probeClosed(client, intervalMs));
}

/**
 * Makes a client that is gone emit `close`, until the returned function is called. A Unix socket's reader cannot tell
 * a half-close from a close, but a write of nothing can: EPIPE, without a byte sent.
 */
export function probeClosed(client: ByteStream, intervalMs: number): () => void {
  const timer = setInterval(() => probe(client), intervalMs);
  return () => clearInterval(timer);
}

function probe(client: ByteStream): void {
  if (!client.writable || client.writableLength > 0) return;
  // Each connection of kube-apiserver ends here, most with EPIPE; whose stack nobody reads costs more than the rest.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    client.write(nothing);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function isFinished(stream: ByteStream): boolean {
  return stream.readableEnded && stream.writableFinished;
}

/**
 * As close(2) would for a client that is gone: everything it sent is delivered, then FIN, and later data of the
 * target is answered with RST. A client that broke off instead (unread data, ECONNRESET) resets the target at once.
 */
function closeTarget(target: ByteStream, hasSentAll: boolean): void {
  if (target.destroyed) return;
  if (!hasSentAll) {
    target.resetAndDestroy();
    return;
  }
  target.unpipe();
  closeSoon(target);
  if (!(target instanceof Socket)) return;
  const timer = setTimeout(() => target.resetAndDestroy(), lingerMs);
  target.once('close', () => clearTimeout(timer));
}

/** What the target had sent before its FIN still reaches the client. A Unix socket knows no reset. */
function abortClient(client: ByteStream, target: ByteStream): void {
  if (client.destroyed) return;
  client.unpipe();
  if (target.readableEnded) closeSoon(client);
  else if (client instanceof Socket) client.destroy();
  else client.resetAndDestroy();
}
