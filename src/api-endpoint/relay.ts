import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Joins two connected sockets until both are closed: a FIN passes as FIN and leaves the other direction open, an abort
 * of one side resets the other. Backpressure is `pipe()`'s. Costs nothing but the two sockets.
 */
export function relay(client: Socket, server: Socket): void {
  client.pipe(server);
  server.pipe(client);
  client.once('close', () => resetUnlessFinished(client, server));
  server.once('close', () => resetUnlessFinished(server, client));
  if (client.destroyed) resetSocket(server);
}

function resetUnlessFinished(gone: Socket, other: Socket): void {
  const isFinished = gone.readableEnded && gone.writableFinished;
  if (!isFinished) resetSocket(other);
}

/** RST rather than FIN: the other side learns that the stream broke off and did not end. */
export function resetSocket(socket: Socket): void {
  // TLS, towards an https proxy, has no reset of its own.
  if (socket instanceof TLSSocket || socket.destroyed) socket.destroy();
  else socket.resetAndDestroy();
}
