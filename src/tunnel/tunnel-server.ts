import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../base/logger.ts';
import { type Member, Roster } from '../base/roster.ts';
import type { Clock } from '../base/time.ts';
import type { Component, RunningComponent, Termination } from '../supervisor/types.ts';
import {
  type AnswerContext,
  answerConnect,
  answerTarget,
  type Connection,
  defaultTimeouts,
  type OpenedStream,
  type TunnelTimeouts,
} from './answer-connect.ts';
import { createCloseProbes } from './close-probes.ts';
import { type Dial, type HeaderBytes, noHeader } from './dial-target.ts';
import { dialTcp } from './dial-tcp.ts';
import { ignoreError } from './ignore-error.ts';
import { listenUnix } from './listen-unix.ts';
import { createTunnelMetrics, type TunnelMetrics } from './metrics.ts';
import type { TunnelSessions } from './sessions.ts';
import type {
  ByteStream,
  RouteDecision,
  RoutingTable,
  Target,
  TunnelRefusal,
  TunnelStatus,
} from './types.ts';

export interface TunnelServerOptions {
  /** What kube-apiserver's EgressSelectorConfiguration names as `udsName`; at most 107 bytes. */
  readonly socketPath: string;
  readonly routes: RoutingTable;
  /** Of agents; without them every node but this one has no tunnel. */
  readonly sessions?: TunnelSessions;
  /** Shared with the sessions. */
  readonly metrics?: TunnelMetrics;
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
  /** Answers, and relays, for a client whose CONNECT request was read elsewhere: the gateway's proxy. */
  serve(client: ByteStream, target: Target): void;
}

/** One descriptor each, and two for a target that is dialled here. */
const defaultMaxStreams = 20_000;
/** A client that goes away while its target is dialled frees both within this time. */
const clientGoneProbeMs = 500;
/** The same complaint is logged once in this time. */
const repeatAfterMs = 60_000;

/** One open connection of kube-apiserver. */
interface Stream extends Connection, Member {
  target: ByteStream | undefined;
  /** Of the target's counters, what is no payload. */
  headerBytes: HeaderBytes;
  /** Whoever of the two has closed. */
  readonly onClose: () => void;
}

/** Counters and open streams; they outlive a restart of the listener. */
interface Ledger {
  readonly metrics: TunnelMetrics;
  readonly streams: Roster<Stream>;
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
    metrics: options.metrics ?? createTunnelMetrics(() => performance.now()),
    streams: new Roster(),
    accepted: 0,
    refused: 0,
    bytesToTargets: 0,
    bytesFromTargets: 0,
    lastRefusal: undefined,
    lastLoggedAt: Number.NEGATIVE_INFINITY,
    server: undefined,
  };
  const context = createContext(options, ledger);
  return {
    name: 'tunnel',
    dependsOn: [],
    start: (signal) =>
      startListening(options, ledger, {
        signal,
        serve: (client) => answerConnect(admit(client, ledger), context),
      }),
    status: () => readStatus(options, ledger),
    serve: (client, target) => answerTarget(admit(client, ledger), target, context),
  };
}

async function startListening(
  options: TunnelServerOptions,
  ledger: Ledger,
  { signal, serve }: { readonly signal: AbortSignal; readonly serve: (client: Socket) => void },
): Promise<RunningComponent> {
  signal.throwIfAborted();
  const server = createServer({ allowHalfOpen: true }, serve);
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

function createContext(options: TunnelServerOptions, ledger: Ledger): AnswerContext<Stream> {
  return {
    routes: { route: (host, port) => routeUnlessBusy(options, ledger, { host, port }) },
    dial: options.dial ?? dialTcp,
    openStream: (nodeName) => options.sessions?.openStream(nodeName) ?? withoutSessions(nodeName),
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    probes: createCloseProbes(clientGoneProbeMs),
    metrics: ledger.metrics,
    onAccepted: (stream, target, headerBytes) => {
      stream.target = target;
      stream.headerBytes = headerBytes;
      ledger.accepted += 1;
      target.on('close', stream.onClose);
    },
    onRefused: (target, refusal) => recordRefusal(options, ledger, { target, ...refusal }),
  };
}

function admit(client: ByteStream, ledger: Ledger): Stream {
  const stream: Stream = {
    client,
    acceptedAt: performance.now(),
    target: undefined,
    headerBytes: noHeader,
    place: 0,
    onClose: () => {
      if (client.closed && stream.target?.closed !== false) forget(stream, ledger);
    },
  };
  client.on('error', ignoreError).on('close', stream.onClose);
  ledger.streams.add(stream);
  return stream;
}

function withoutSessions(nodeName: string): OpenedStream {
  const reason = `node ${nodeName} has no tunnel: this controller accepts none`;
  return { type: 'refused', failure: 'no-session', refusal: { status: 503, reason } };
}

/** A request is always read first: a client whose write fails does not look for an answer. */
function routeUnlessBusy(
  options: TunnelServerOptions,
  ledger: Ledger,
  target: Target,
): RouteDecision | Promise<RouteDecision> {
  const maxStreams = options.maxStreams ?? defaultMaxStreams;
  if (ledger.streams.size <= maxStreams) return options.routes.route(target.host, target.port);
  const reason = `tunnel is busy: ${maxStreams} streams are open`;
  return { type: 'refuse', status: 503, reason };
}

function forget(stream: Stream, ledger: Ledger): void {
  if (!ledger.streams.delete(stream)) return;
  const { toTarget, fromTarget } = payloadOf(stream);
  ledger.bytesToTargets += toTarget;
  ledger.bytesFromTargets += fromTarget;
}

function payloadOf(stream: Stream): { toTarget: number; fromTarget: number } {
  if (stream.target === undefined) return { toTarget: 0, fromTarget: 0 };
  return {
    toTarget: stream.target.bytesWritten - stream.headerBytes.written,
    fromTarget: stream.target.bytesRead - stream.headerBytes.read,
  };
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

function readStatus(options: TunnelServerOptions, ledger: Ledger): TunnelStatus {
  let { bytesToTargets, bytesFromTargets } = ledger;
  for (const stream of ledger.streams) {
    const { toTarget, fromTarget } = payloadOf(stream);
    bytesToTargets += toTarget;
    bytesFromTargets += fromTarget;
  }
  return {
    isListening: ledger.server !== undefined,
    activeStreams: ledger.streams.size,
    stalledStreams: options.sessions?.stalledStreams() ?? 0,
    acceptedStreams: ledger.accepted,
    refusedStreams: ledger.refused,
    bytesToTargets,
    bytesFromTargets,
    ...(ledger.lastRefusal === undefined ? {} : { lastRefusal: ledger.lastRefusal }),
    nodes: options.sessions?.status() ?? [],
  };
}
