import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

/** A server that answers in a gateway's place. */
export interface Impostor {
  readonly port: number;
  /** Every byte that came over TCP. */
  received(): Buffer;
  /** Every byte that came through TLS after the handshake. */
  decrypted(): Buffer;
  stop(): Promise<void>;
}

/**
 * A TLS server that does what the test wants, or, without TLS, one that says a text or nothing; on loopback unless an
 * address is given.
 */
export async function startImpostor(
  options: (TlsOptions | { readonly says: string | undefined }) & { readonly address?: string },
  respond: (socket: Socket) => void = () => {},
): Promise<Impostor> {
  const raw: Buffer[] = [];
  const plain: Buffer[] = [];
  const sockets = new Set<Socket>();
  const inner =
    'says' in options
      ? undefined
      : createTlsServer({ minVersion: 'TLSv1.3', ...options }, (socket) => {
          socket.on('data', (data) => plain.push(data));
          socket.on('error', () => {});
          respond(socket);
        });
  inner?.on('tlsClientError', () => {});
  const innerPort = inner === undefined ? 0 : await listen(inner);
  const outer = createServer({ pauseOnConnect: true }, (socket) => {
    keep(sockets, socket);
    const record = () => socket.on('data', (data) => raw.push(data)).resume();
    if ('says' in options) {
      const { says } = options;
      record();
      if (says !== undefined) socket.once('data', () => socket.end(says));
      return;
    }
    const way = connect(innerPort, '127.0.0.1');
    keep(sockets, way);
    way.once('connect', () => {
      record();
      socket.pipe(way);
      way.pipe(socket);
    });
  });
  const port = await listen(outer, options.address);
  return {
    port,
    received: () => Buffer.concat(raw),
    decrypted: () => Buffer.concat(plain),
    async stop() {
      for (const socket of sockets) socket.destroy();
      for (const server of [outer, ...(inner === undefined ? [] : [inner])]) {
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

function keep(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
}

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
