import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import {
  createTunnelServer,
  type TunnelServer,
  type TunnelServerOptions,
} from '../../../src/tunnel/tunnel-server.ts';
import type { RouteDecision } from '../../../src/tunnel/types.ts';
import { type LoopbackServer, listenOnLoopback } from '../../support/loopback-server.ts';

/** A tunnel server on a socket of its own and the targets it may reach; `close()` ends all of them. */
export interface Harness {
  readonly socketPath: string;
  readonly directory: string;
  readonly tunnel: TunnelServer;
  readonly running: Awaited<ReturnType<TunnelServer['start']>>;
  close(): Promise<void>;
}

export async function startHarness(
  route: (host: string, port: number) => RouteDecision,
  options: Partial<TunnelServerOptions> = {},
): Promise<Harness> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-tunnel-'));
  const socketPath = path.join(directory, 'run', 'tunnel.sock');
  const tunnel = createTunnelServer({
    socketPath,
    routes: { route },
    logger: silentLogger,
    clock: systemClock,
    ...options,
  });
  const running = await tunnel.start(AbortSignal.timeout(60_000));
  return {
    socketPath,
    directory,
    tunnel,
    running,
    close: async () => {
      await running.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Hands each connection to `serve`; half-open allowed. */
export function startTarget(serve: (socket: Socket) => void): Promise<LoopbackServer> {
  return listenOnLoopback(createServer({ allowHalfOpen: true }, serve));
}

/** A client as kube-apiserver is one: connects and sends the CONNECT header. */
export async function openClient(socketPath: string, request: string): Promise<Client> {
  const client = await openOn(connect({ path: socketPath, allowHalfOpen: true }));
  if (request !== '') client.socket.write(request);
  return client;
}

/** A client of a port on this machine. */
export function openDirectly(port: number): Promise<Client> {
  return openOn(connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true }));
}

async function openOn(socket: Socket): Promise<Client> {
  const client: Client = { socket, received: Buffer.alloc(0), hasEnded: false };
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    client.received = Buffer.concat([client.received, chunk]);
  });
  socket.on('end', () => {
    client.hasEnded = true;
  });
  await once(socket, 'connect');
  return client;
}

export interface Client {
  readonly socket: Socket;
  received: Buffer;
  hasEnded: boolean;
}

export function connectTo(host: string, port: number): string {
  return `CONNECT ${host}:${port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
}

export const established = 'HTTP/1.1 200 Connection Established\r\n\r\n';

/**
 * Connects a client that has sent nothing yet to a target that echoes, and sends it so many MiB as fast as they go.
 * @returns SHA-256 of what was sent and of what came back.
 */
export async function exchange(
  { socket }: Client,
  request: string,
  mebibytes: number,
): Promise<{ readonly sent: string; readonly received: string }> {
  const sent = createHash('sha256');
  const received = createHash('sha256');
  let length = -established.length;
  // Nothing of it is kept: so much would be copied again with every chunk.
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    received.update(length < 0 ? chunk.subarray(established.length) : chunk);
    length += chunk.length;
  });
  socket.write(request);
  await waitFor(() => length === 0, {
    ...{ subject: '200', timeoutMs: 20_000, intervalMs: 5 },
    describe: () => `${length + established.length} bytes came`,
  });
  const block = randomBytes(1024 * 1024);
  for (let i = 0; i < mebibytes; i += 1) {
    sent.update(block);
    if (!socket.write(block)) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'end');
  return { sent: sent.digest('hex'), received: received.digest('hex') };
}

export function dialLoopback(port: number): RouteDecision {
  return { type: 'dial', address: '127.0.0.1', port, subject: `target ${port}` };
}

/** `harness`, `target` and `open` for the tests of one file: whatever they start is closed after each test. */
export function closedAfterEach() {
  const closers: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  return {
    closers,
    async harness(...args: Parameters<typeof startHarness>): Promise<Harness> {
      const started = await startHarness(...args);
      closers.push(() => started.close());
      return started;
    },
    async target(...args: Parameters<typeof startTarget>) {
      const started = await startTarget(...args);
      closers.push(() => started.close());
      return started;
    },
    async open(socketPath: string, request: string): Promise<Client> {
      const client = await openClient(socketPath, request);
      closers.push(() => client.socket.destroy());
      return client;
    },
  };
}
