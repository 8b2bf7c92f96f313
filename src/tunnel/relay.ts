import type { Socket } from 'node:net';

const nothing = Buffer.alloc(0);

/** How long a target may take to read what a client that is gone has sent. */
const lingerMs = 30_000;

/**
 * Joins a Unix-socket client and a connected TCP target until both are closed. Each direction is independent: FIN
 * passes as FIN. An abort of one side aborts the other. Backpressure is `pipe()`'s, so a
 * stalled side costs two stream buffers. Target bytes are held until the client has sent its first: kube-apiserver
 * fails when anything follows the 200 that it is still reading.
 */
export function relay(client: Socket, target: Socket, halfClosedProbeMs: number): void {
  let isReleased = false;
  const release = () => {
    if (isReleased) return;
    isReleased = true;
    target.pipe(client);
  };
  const onClientEnd = () => {
    release();
    watchHalfClosed(client, halfClosedProbeMs);
  };
  client.once('data', release);
  client.once('end', onClientEnd);
  client.once('close', () => {
    if (!isFinished(client)) closeTarget(target, client.readableEnded);
  });
  target.once('close', () => {
    if (!isFinished(target)) abortClient(client, target);
  });
  client.pipe(target);
  // Both may have happened while the target was being dialled; their events are over then.
  if (client.readableEnded) onClientEnd();
  if (client.destroyed) closeTarget(target, false);
}

/**
 * A Unix socket's reader cannot tell a half-close from a close, but a write of nothing can: EPIPE, without a byte
 * sent. It finds clients that went away, whose target would else wait for them until it speaks.
 */
function watchHalfClosed(client: Socket, intervalMs: number): void {
  const probe = () => {
    if (client.writable && client.writableLength === 0) client.write(nothing);
  };
  probe();
  const timer = setInterval(probe, intervalMs);
  client.once('close', () => clearInterval(timer));
}

function isFinished(socket: Socket): boolean {
  return socket.readableEnded && socket.writableFinished;
}

/**
 * As close(2) would for a client that is gone: everything it sent is delivered, then FIN, and later data of the
 * target is answered with RST. A client that broke off instead (unread data, ECONNRESET) resets the target at once.
 */
function closeTarget(target: Socket, hasSentAll: boolean): void {
  if (target.destroyed) return;
  if (!hasSentAll) {
    target.resetAndDestroy();
    return;
  }
  target.destroySoon();
  const timer = setTimeout(() => target.resetAndDestroy(), lingerMs);
  target.once('close', () => clearTimeout(timer));
}

/** What the target had sent before its FIN still reaches the client. */
function abortClient(client: Socket, target: Socket): void {
  if (target.readableEnded) client.destroySoon();
  else client.destroy();
}
