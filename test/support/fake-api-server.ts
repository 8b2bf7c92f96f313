import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import type { TestAuthority } from './tls-authority.ts';

/** What /readyz does: a status, or never an answer. */
type Readyz = number | 'silent';

export interface FakeApiServerOptions {
  readonly name: string;
  readonly authority: TestAuthority;
  /** 127.0.0.1 when left out. */
  readonly host?: string;
  /** Any free one when left out. */
  readonly port?: number;
}

/** A TLS server with a certificate for `kubernetes` that answers /readyz, and everything else with its name. */
export interface FakeApiServer {
  readonly name: string;
  readonly port: number;
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly checks: () => number;
  /** Connections that are open now. */
  readonly connections: () => number;
  setReadyz(readyz: Readyz): void;
  /** Accepts connections, and says nothing on these and on older ones, as a frozen process does. */
  freeze(): void;
  thaw(): void;
  /** Accepts connections and ends each without a word, as one does that is about to stop. */
  hangUp(): void;
  /** Resets every connection and listens no more, as a killed process does. */
  kill(): Promise<void>;
}

export async function startFakeApiServer(options: FakeApiServerOptions): Promise<FakeApiServer> {
  const { name, authority, host = '127.0.0.1' } = options;
  const sockets = new Set<Socket>();
  const joined = new Set<Socket>();
  let readyz: Readyz = 200;
  let checks = 0;
  let isFrozen = false;
  let isHangingUp = false;
  const tls = authority.issueServer({ dnsNames: ['kubernetes'] });
  const server: Server = createServer(tls, (request, response) => {
    if (request.url !== '/readyz') {
      response.end(name);
      return;
    }
    checks += 1;
    if (readyz !== 'silent') response.writeHead(readyz).end('checked');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const inner = (server.address() as AddressInfo).port;
  // In front, since sockets that TLS has taken over cannot be reset.
  const front = createTcpServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    if (isFrozen) return;
    if (isHangingUp) {
      socket.resume().end();
      return;
    }
    const target = connect({ host: '127.0.0.1', port: inner, allowHalfOpen: true });
    for (const each of [socket, target]) {
      joined.add(each);
      each.once('close', () => joined.delete(each));
    }
    join(socket, target);
  });
  await new Promise<void>((resolve, reject) => {
    front.once('error', reject);
    front.listen(options.port ?? 0, host, resolve);
  });
  const { port } = front.address() as AddressInfo;
  return {
    name,
    port,
    address: `${host}:${port}`,
    checks: () => checks,
    connections: () => sockets.size,
    setReadyz: (value) => {
      readyz = value;
    },
    freeze: () => {
      isFrozen = true;
      for (const socket of joined) socket.pause();
    },
    thaw: () => {
      isFrozen = false;
      for (const socket of joined) socket.resume();
    },
    hangUp: () => {
      isHangingUp = true;
    },
    kill: async () => {
      const closed = [front, server].map((each) => new Promise((resolve) => each.close(resolve)));
      for (const socket of sockets) socket.resetAndDestroy();
      server.closeAllConnections();
      await Promise.all(closed);
    },
  };
}

function join(client: Socket, target: Socket): void {
  target.on('error', () => {});
  client.pipe(target);
  target.pipe(client);
  client.once('close', () => target.destroy());
  target.once('close', () => client.destroySoon());
}
