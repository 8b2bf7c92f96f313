import { Socket } from 'node:net';
import { Carry } from './carry.ts';
import { probeClosed } from './close-probes.ts';
import { closeSoon, lingerMs } from './close-soon.ts';
import { ignoreError } from './ignore-error.ts';
import type { ByteStream } from './types.ts';

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
 * abort of one side aborts the other. A side that does not read costs two stream buffers.
 */
export function relay(client: ByteStream, target: ByteStream, options: RelayOptions): void {
  const probeMs = options.halfClosedProbeMs;
  const forth = new Carry(client, target, {
    onData: () => back.start(),
    onEnd: () => {
      back.start();
      if (probeMs !== undefined && !client.destroyed) watchHalfClosed(client, probeMs);
    },
  });
  const back = new Carry(target, client);
  let closes = 0;
  // Not by their `closed`, which is true before those who listen have heard of it.
  const onClosed = () => {
    closes += 1;
    if (closes === 2) letGo(client, target);
  };
  client.on('close', () => {
    onClosed();
    if (isFinished(client)) return;
    back.stop();
    closeTarget(target, client.readableEnded);
  });
  target.on('close', () => {
    onClosed();
    if (isFinished(target)) return;
    forth.stop();
    abortClient(client, target);
  });
  if (probeMs === undefined) back.start();
  forth.start();
  // Both may have happened while the target was being dialled; their events are over then.
  if (client.destroyed) closeTarget(target, false);
  if (target.destroyed) abortClient(client, target);
}

/** Finds clients that went away, whose target would else wait for them until it speaks. */
function watchHalfClosed(client: ByteStream, intervalMs: number): void {
  // Nearly all of them are gone already, and need no timer.
  probeClosed(client, () => {
    if (client.destroyed) return;
    const timer = setInterval(() => probeClosed(client), intervalMs);
    client.on('close', () => clearInterval(timer));
  });
}

/**
 * Both are closed and nobody hears of them again. Each stream of Node.js is held by a function that V8 allocates in the
 * old generation (`WritableState.onwrite`, a function assigned to a property): no scavenge frees the stream, nor what it
 * leads to, which is all that served this connection. Without listeners that is only the stream.
 */
function letGo(...streams: ByteStream[]): void {
  for (const stream of streams) stream.removeAllListeners().on('error', ignoreError);
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
  closeSoon(target);
  if (!(target instanceof Socket)) return;
  const timer = setTimeout(() => target.resetAndDestroy(), lingerMs);
  target.on('close', () => clearTimeout(timer));
}

/** What the target had sent before its FIN still reaches the client. A Unix socket knows no reset. */
function abortClient(client: ByteStream, target: ByteStream): void {
  if (client.destroyed) return;
  if (target.readableEnded) closeSoon(client);
  else if (client instanceof Socket) client.destroy();
  else client.resetAndDestroy();
}
