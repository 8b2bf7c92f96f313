import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';

/** A server on 127.0.0.1 with its connections. */
export interface LoopbackServer {
  readonly port: number;
  /** Those that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** Ends them too; may be called again. */
  close(): Promise<void>;
}

/** Lets any kind of server listen, on any free port unless one is given. Errors of its connections end only these. */
export async function listenOnLoopback(server: Server, port = 0): Promise<LoopbackServer> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}
