import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { HttpRoute, Peer } from '../base/http-route.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { Component, RunningComponent, Termination } from '../supervisor/types.ts';
import type { AgentIdentity } from '../tunnel/node-record.ts';
import { createComplaints } from './complaints.ts';
import {
  type ConnectionCounts,
  type Connections,
  createConnections,
  defaultLimits,
  type GatewayLimits,
} from './connections.ts';
import { createListener } from './listener.ts';
import { createRouter } from './router.ts';
import { keepTlsContext, readTlsContext, type TlsFiles } from './tls-files.ts';

export interface GatewayOptions {
  readonly port: number;
  /** `0.0.0.0` for all. */
  readonly address: string;
  readonly tlsFiles: TlsFiles;
  readonly routes: readonly HttpRoute[];
  /** Takes over the connection of an agent that has proved which node it is of. */
  readonly acceptTunnel: (socket: TLSSocket, identity: AgentIdentity) => void;
  /** Asked for at a stop, when nobody new can come: tunnels end in an orderly way, within a moment. Must not reject. */
  readonly releaseTunnels?: () => Promise<void>;
  /** The method CONNECT, whoever asks; refused with 405 when left out. The socket is the handler's to end. */
  readonly handleConnect?: (
    request: IncomingMessage,
    socket: TLSSocket,
    head: Buffer,
    peer: Peer,
  ) => void | Promise<void>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly dependsOn?: readonly string[];
  readonly limits?: Partial<GatewayLimits>;
  /** How often the certificate files are looked at; a minute unless given, milliseconds. */
  readonly reloadIntervalMs?: number;
}

/** For `status` and metrics. */
export interface GatewayStatus extends ConnectionCounts {
  readonly isListening: boolean;
  readonly port: number;
  /** Since the start of this process. */
  readonly requests: number;
  /** Milliseconds since the epoch; of the certificate that is shown now. */
  readonly certificateNotAfter?: number;
}

export interface Gateway extends Component {
  status(): GatewayStatus;
}

/**
 * As deep as kernels allow by default: a thousand agents come back in one moment when a controller restarts. The
 * kernel takes the smaller of this and net.core.somaxconn.
 */
const backlog = 4096;
const defaultReloadIntervalMs = 60_000;

/**
 * The one port of a controller towards the outside besides the API's: TLS 1.3, clients with and without certificates.
 * By ALPN a connection is an agent's tunnel or HTTP/1.1, where the routes decide who may do what.
 */
export function createGateway(options: GatewayOptions): Gateway {
  const complaints = createComplaints(options.logger, options.clock);
  const limits = { ...defaultLimits, ...options.limits };
  const connections = createConnections(limits, complaints);
  const router = createRouter({ ...options, connections, complaints });
  const state: GatewayState = { server: undefined, notAfterMs: undefined };
  return {
    name: 'gateway',
    dependsOn: options.dependsOn ?? [],
    async start(signal) {
      const tls = await readTlsContext(options.tlsFiles);
      signal.throwIfAborted();
      const server = createListener({ tls, limits, connections, router, complaints });
      await listen(server, options);
      state.server = server;
      state.notAfterMs = tls.notAfterMs;
      return runningGateway({ server, connections, state, options });
    },
    status: () => ({
      isListening: state.server !== undefined,
      port: portOf(state.server) ?? options.port,
      ...connections.status(),
      requests: router.requests,
      ...(state.notAfterMs === undefined ? {} : { certificateNotAfter: state.notAfterMs }),
    }),
  };
}

interface GatewayState {
  server: Server | undefined;
  notAfterMs: number | undefined;
}

interface RunningParts {
  readonly server: Server;
  readonly connections: Connections;
  readonly state: GatewayState;
  readonly options: GatewayOptions;
}

function runningGateway({ server, connections, state, options }: RunningParts): RunningComponent {
  const { logger, clock, tlsFiles } = options;
  let failure: Error | undefined;
  const closeAll = () => {
    server.close();
    // Neither a request without end nor a tunnel keeps the process from stopping.
    server.closeAllConnections();
    connections.destroyAll();
  };
  const stopReloading = keepTlsContext({
    files: tlsFiles,
    logger,
    intervalMs: options.reloadIntervalMs ?? defaultReloadIntervalMs,
    onChange: (context) => {
      server.setSecureContext(context);
      state.notAfterMs = context.notAfterMs;
      logger.info('gateway shows its renewed certificate from now on');
    },
  });
  server.on('error', (error) => {
    failure = error;
    closeAll();
  });
  const terminated = new Promise<Termination>((resolve) => {
    server.once('close', () => {
      stopReloading();
      state.server = undefined;
      const finishedAt = clock.now();
      if (failure === undefined) resolve({ reason: 'Stopped', finishedAt });
      else resolve({ reason: 'Error', message: failure.message, finishedAt });
    });
  });
  return {
    terminated,
    waitReady: async () => {},
    stop: async () => {
      server.close();
      await options.releaseTunnels?.();
      closeAll();
      await terminated;
    },
  };
}

async function listen(server: Server, { address, port }: GatewayOptions): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address, port, backlog }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const isTaken = errorCode(error) === 'EADDRINUSE';
    throw new UserError({
      what: `listen on ${address}:${port}`,
      why: isTaken ? 'another process listens there' : errorMessage(error),
      fix: 'stop that process, or set spec.api.gatewayPort',
      cause: error,
    });
  }
}

function portOf(server: Server | undefined): number | undefined {
  const address = server?.address();
  return typeof address === 'object' && address !== null ? address.port : undefined;
}
