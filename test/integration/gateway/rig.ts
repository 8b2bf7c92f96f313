import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import { type ConnectionOptions, connect } from 'node:tls';
import { writeFileAtomic } from '../../../src/base/files.ts';
import { gatewayServerName } from '../../../src/base/gateway-names.ts';
import type { HttpRoute } from '../../../src/base/http-route.ts';
import { createLogger, type Logger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../../../src/gateway/gateway.ts';
import type { TlsFiles } from '../../../src/gateway/tls-files.ts';
import type { RunningComponent } from '../../../src/supervisor/types.ts';
import type { AgentIdentity } from '../../../src/tunnel/node-record.ts';
import { type Pair, type RigAuthority, rigAuthority } from '../../support/rig-authority.ts';

export type { Pair, RigAuthority } from '../../support/rig-authority.ts';
export { dayMs, rigAuthority } from '../../support/rig-authority.ts';

export interface RigOptions extends Partial<Omit<GatewayOptions, 'port' | 'address' | 'logger'>> {
  readonly authority?: RigAuthority;
  readonly pair?: Pair;
  /** Routes that want the logger of the rig too. */
  readonly makeRoutes?: (logger: Logger) => readonly HttpRoute[];
}

export interface GatewayRig {
  readonly authority: RigAuthority;
  readonly port: number;
  readonly gateway: Gateway;
  readonly tlsFiles: TlsFiles;
  readonly running: RunningComponent;
  /** Everything that was logged, at all levels. */
  readonly log: string[];
  readonly tunnels: { readonly socket: TLSSocket; readonly identity: AgentIdentity }[];
  /** Replaces the certificate on the disk. */
  writePair(pair: Partial<Pair>): Promise<void>;
  /** A TLS connection after its handshake. */
  connect(options?: ConnectionOptions): Promise<TLSSocket>;
  stop(): Promise<void>;
}

/** A real gateway on a free port of loopback. */
export async function startGateway(options: RigOptions = {}): Promise<GatewayRig> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-gateway-'));
  const authority = options.authority ?? rigAuthority();
  const file = (name: string) => path.join(directory, name);
  const writePair = async ({ cert, key }: Partial<Pair>) => {
    if (cert !== undefined) await writeFileAtomic(file('gateway.crt'), cert);
    if (key !== undefined) await writeFileAtomic(file('gateway.key'), key, { mode: 0o600 });
  };
  await writePair(options.pair ?? authority.gateway());
  await writeFileAtomic(file('ca.crt'), authority.pem);
  const log: string[] = [];
  const logger = createLogger({ level: 'trace', format: 'text', write: (line) => log.push(line) });
  const tunnels: GatewayRig['tunnels'] = [];
  const tlsFiles: TlsFiles = {
    certFile: file('gateway.crt'),
    keyFile: file('gateway.key'),
    caFile: file('ca.crt'),
  };
  const gateway = createGateway({
    address: '127.0.0.1',
    port: 0,
    tlsFiles,
    routes: [],
    acceptTunnel: (socket, identity) => tunnels.push({ socket, identity }),
    clock: systemClock,
    ...options,
    ...(options.makeRoutes === undefined ? {} : { routes: options.makeRoutes(logger) }),
    logger,
  });
  const running = await gateway.start(new AbortController().signal);
  const { port } = gateway.status();
  const opened: TLSSocket[] = [];
  return {
    ...{ authority, port, gateway, tlsFiles, running, log, tunnels, writePair },
    async connect(given = {}) {
      const tls = connect({
        host: '127.0.0.1',
        port,
        ca: authority.pem,
        servername: gatewayServerName,
        ...given,
      });
      opened.push(tls);
      await new Promise<void>((resolve, reject) => {
        tls.once('secureConnect', resolve).once('error', reject);
        tls.once('close', () => reject(new Error('closed')));
      });
      tls.on('error', () => {});
      return tls;
    },
    async stop() {
      for (const tls of opened) tls.destroy();
      await running.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Everything that a connection says until it is closed. */
export function readToEnd(socket: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('close', () => resolve(text));
    socket.on('error', () => {});
  });
}

export function closed(
  socket: NodeJS.EventEmitter & { readonly destroyed?: boolean },
): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed === true) resolve();
    socket.once('close', () => resolve());
  });
}
