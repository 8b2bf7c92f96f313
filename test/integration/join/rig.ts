import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { dialTcp } from '../../../src/base/dial.ts';
import { systemClock } from '../../../src/base/time.ts';
import type { GatewayClientOptions } from '../../../src/join/gateway-connection.ts';
import type { JoinDocument, JoinRequest, JoinToken, NodeSite } from '../../../src/join/types.ts';
import { pinOf } from '../../../src/join/verify-gateway.ts';
import type { RigAuthority } from '../gateway/rig.ts';

/** How a machine of the tests speaks to gateways. */
export const clientOptions: GatewayClientOptions = {
  clock: systemClock,
  dial: (server, signal) => dialTcp({ ...server, timeoutMs: 2_000 }, signal),
};

export const signal = new AbortController().signal;

export const machine: JoinRequest = {
  nodeName: 'edge-1',
  machineId: 'a'.repeat(32),
  bootId: 'aaaaaaaa-0000-4000-8000-000000000000',
  version: '0.1.0',
  arch: 'amd64',
  addresses: ['127.0.0.1', '10.0.0.4'],
};

export const otherMachine: JoinRequest = {
  ...machine,
  machineId: 'b'.repeat(32),
  bootId: 'bbbbbbbb-0000-4000-8000-000000000000',
};

export function documentOf(authority: RigAuthority, site: NodeSite): JoinDocument {
  return {
    version: 1,
    ca: authority.pem,
    apiServers: ['127.0.0.1:6443'],
    gateways: ['127.0.0.1:9443'],
    config: { kind: 'ClusterConfig' },
    kubernetesVersion: '1.37.1',
    site,
    artifacts: [],
  };
}

export function tokenOf(
  authority: RigAuthority,
  token: { readonly id: string; readonly secret: string },
  ports: readonly number[],
): JoinToken {
  const servers = ports.map((port) => `127.0.0.1:${port}`);
  const { id, secret } = token;
  return { role: 'worker', id, secret, caPin: pinOf(authority.pem), servers };
}

/** A server that answers in a gateway's place. */
export interface Impostor {
  readonly port: number;
  /** Every byte that came over TCP. */
  received(): Buffer;
  /** Every byte that came through TLS after the handshake. */
  decrypted(): Buffer;
  stop(): Promise<void>;
}

/** A TLS server that does what the test wants, or, without TLS, one that says a text or nothing. */
export async function startImpostor(
  options: TlsOptions | { readonly says: string | undefined },
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
    void dialTcp({ host: '127.0.0.1', port: innerPort, timeoutMs: 2_000 }, signal).then((way) => {
      keep(sockets, way);
      record();
      socket.pipe(way);
      way.pipe(socket);
    });
  });
  const port = await listen(outer);
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

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
