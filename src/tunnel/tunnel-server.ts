import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { Component, RunningComponent, Termination } from '../supervisor/types.ts';
import { answerConnect, type TunnelTimeouts } from './answer-connect.ts';
import type { Dial } from './dial-target.ts';
import { listenUnix } from './listen-unix.ts';
import type { RouteDecision, RoutingTable, Target, TunnelRefusal, TunnelStatus } from './types.ts';

export interface TunnelServerOptions {
  /** What kube-apiserver's EgressSelectorConfiguration names as `udsName`; at most 107 bytes. */
  readonly socketPath: string;
  readonly routes: RoutingTable;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Opens the connection to a target; TCP when left out. */
  readonly dial?: Dial;
  readonly timeouts?: Partial<TunnelTimeouts>;
  /** More are answered with 503. */
  readonly maxStreams?: number;
}

/** The tunnel as a component, with its counters. */
export interface TunnelServer extends Component {
  status(): TunnelStatus;
}

const defaultTimeouts: TunnelTimeouts = {
  headerMs: 3_000,
  dialMs: 5_000,
  halfClosedProbeMs: 10_000,
};
const defaultMaxStreams = 4096;
/** The same complaint is logged once in this time. */
const repeatAfterMs = 60_000;

/** One open connection of kube-apiserver. */
interface Stream {
  readonly client: Socket;
  target?: Socket;
}

/** Counters and open streams; they outlive a restart of the listener. */
interface Ledger {
  readonly streams: Set<Stream>;
  accepted: number;
  refused: number;
  bytesToTargets: number;
  bytesFromTargets: number;
  lastRefusal: TunnelRefusal | undefined;
  lastLoggedAt: number;
  server: Server | undefined;
}

/**
 * Serves kube-apiserver's `cluster` egress selector (HTTPConnect over a Unix socket) in this process. Each CONNECT
 * gets an answer within 8 s: kube-apiserver waits for it without a limit of its own.
 * @see https://kubernetes.io/docs/reference/config-api/apiserver-config.v1beta1/#apiserver-k8s-io-v1beta1-EgressSelectorConfiguration
 */
export function createTunnelServer(options: TunnelServerOptions): TunnelServer {
  const ledger: Ledger = {
    streams: new Set(),
    accepted: 0,
    refused: 0,
    bytesToTargets: 0,
    bytesFromTargets: 0,
    lastRefusal: undefined,
    lastLoggedAt: Number.NEGATIVE_INFINITY,
    server: undefined,
  };
  return {
    name: 'tunnel',
    dependsOn: [],
    start: (signal) => startListening(options, ledger, signal),
    status: () => readStatus(ledger),
  };
}

async function startListening(
  options: TunnelServerOptions,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<RunningComponent> {
  signal.throwIfAborted();
  const server = createServer({ allowHalfOpen: true }, (client) => accept(client, options, ledger));
  await listenUnix(server, options.socketPath);
  ledger.server = server;
  let failure: Error | undefined;
  server.on('error', (error) => {
    failure = error;
    server.close();
  });
  const terminated = new Promise<Termination>((resolve) => {
    server.once('close', () => {
      ledger.server = undefined;
      const finishedAt = options.clock.now();
      if (failure === undefined) resolve({ reason: 'Stopped', finishedAt });
      else resolve({ reason: 'Error', message: failure.message, finishedAt });
    });
  });
  return {
    terminated,
    waitReady: async () => {},
    stop: async () => {
      server.close();
      for (const { client, target } of ledger.streams) {
        client.destroy();
        target?.resetAndDestroy();
      }
      await terminated;
    },
  };
}

function accept(client: Socket, options: TunnelServerOptions, ledger: Ledger): void {
  // Errors are followed by `close`, where both sides are cleaned up.
  client.on('error', () => {});
  const stream: Stream = { client };
  ledger.streams.add(stream);
  client.once('close', () => {
    if (stream.target === undefined || stream.target.closed) forget(stream, ledger);
  });
  void answerConnect(client, {
    routes: { route: (host, port) => routeUnlessBusy(options, ledger, { host, port }) },
    dial: options.dial ?? dialTcp,
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    onRefused: (target, refusal) => recordRefusal(options, ledger, { target, ...refusal }),
    onAccepted: (target) => {
      stream.target = target;
      ledger.accepted += 1;
      target.once('close', () => {
        if (client.closed) forget(stream, ledger);
      });
    },
  });
}

/** A request is always read first: a client whose write fails does not look for an answer. */
function routeUnlessBusy(
  options: TunnelServerOptions,
  ledger: Ledger,
  target: Target,
): RouteDecision {
  const maxStreams = options.maxStreams ?? defaultMaxStreams;
  if (ledger.streams.size <= maxStreams) return options.routes.route(target.host, target.port);
  const reason = `tunnel is busy: ${maxStreams} streams are open`;
  return { type: 'refuse', status: 503, reason };
}

function forget(stream: Stream, ledger: Ledger): void {
  if (!ledger.streams.delete(stream)) return;
  ledger.bytesToTargets += stream.target?.bytesWritten ?? 0;
  ledger.bytesFromTargets += stream.target?.bytesRead ?? 0;
}

/** Hosts are always IPv4 addresses here, so nothing is looked up. Keep-alive finds targets that vanished. */
function dialTcp(address: string, port: number): Socket {
  return connect({
    host: address,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  });
}

function recordRefusal(
  options: TunnelServerOptions,
  ledger: Ledger,
  refusal: Omit<TunnelRefusal, 'at'>,
): void {
  const at = options.clock.now();
  const { target, status, reason } = refusal;
  const isRepeated =
    ledger.lastRefusal?.reason === reason && at - ledger.lastLoggedAt < repeatAfterMs;
  ledger.refused += 1;
  ledger.lastRefusal = { target, status, reason, at };
  if (isRepeated) return;
  ledger.lastLoggedAt = at;
  options.logger.warn(
    `tunnel refused ${target === '' ? 'a request' : target}: ${status} ${reason}`,
  );
}

function readStatus(ledger: Ledger): TunnelStatus {
  let { bytesToTargets, bytesFromTargets } = ledger;
  for (const { target } of ledger.streams) {
    bytesToTargets += target?.bytesWritten ?? 0;
    bytesFromTargets += target?.bytesRead ?? 0;
  }
  return {
    isListening: ledger.server !== undefined,
    activeStreams: ledger.streams.size,
    acceptedStreams: ledger.accepted,
    refusedStreams: ledger.refused,
    bytesToTargets,
    bytesFromTargets,
    ...(ledger.lastRefusal === undefined ? {} : { lastRefusal: ledger.lastRefusal }),
  };
}
