import type { Duplex } from 'node:stream';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { reconnectDelayMs } from './backoff.ts';
import type { TunnelControllerStatus } from './types.ts';
import { createYamuxSession } from './yamux/session.ts';
import type { SessionEnd, WindowBudget, YamuxOptions, YamuxSession } from './yamux/types.ts';

export interface AgentLinkOptions {
  /** `host:port`. */
  readonly address: string;
  /** A verified connection to it. */
  readonly connect: (address: string, signal: AbortSignal) => Promise<Duplex>;
  readonly onStream: NonNullable<YamuxOptions['onStream']>;
  readonly budget: WindowBudget;
  readonly logger: Logger;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly drainSpreadMs: number;
  readonly carrier: Pick<YamuxOptions, 'pingIntervalMs' | 'deadAfterMs' | 'firstFrameMs'>;
}

/** One agent's session to one controller: kept up until it is stopped. */
export interface AgentLink {
  status(): TunnelControllerStatus;
  /** A new session first, then the old one drains: when the certificate has changed. */
  renew(): void;
  /** The controller is no longer one: open streams go on for an hour at most. */
  retire(): void;
  stop(): void;
}

/** Connecting, TLS included; a controller's own limit for the handshake is 10 s. */
const connectTimeoutMs = 15_000;
/** Streams of a session that was replaced may go on for this long. */
const maxDrainMs = 60 * 60_000;
/** A session that lived this long was a success: the next delay starts small again. */
const steadyAfterMs = 10_000;

interface Link {
  readonly options: AgentLinkOptions;
  /** Takes new streams. */
  current: YamuxSession | undefined;
  /** All that live, the current one included. */
  readonly sessions: Set<YamuxSession>;
  readonly stopped: AbortController;
  timer: NodeJS.Timeout | undefined;
  attempt: number;
  /** Of the outage that is not over yet; milliseconds of the monotonic clock. */
  downSinceMs: number | undefined;
  isConnecting: boolean;
  wantsRenewal: boolean;
  connectedSince: number | undefined;
  nextTryAt: number | undefined;
  acceptedSessions: number;
  lastError: string | undefined;
  /** Of sessions that are over. */
  bytesSent: number;
  bytesReceived: number;
}

export function startAgentLink(options: AgentLinkOptions): AgentLink {
  const link: Link = {
    options,
    current: undefined,
    sessions: new Set(),
    stopped: new AbortController(),
    timer: undefined,
    attempt: 0,
    downSinceMs: undefined,
    isConnecting: false,
    wantsRenewal: false,
    connectedSince: undefined,
    nextTryAt: undefined,
    acceptedSessions: 0,
    lastError: undefined,
    bytesSent: 0,
    bytesReceived: 0,
  };
  void connectOnce(link);
  const end = () => {
    link.stopped.abort();
    clearTimeout(link.timer);
    link.current = undefined;
  };
  return {
    status: () => describeLink(link),
    renew: () => {
      // Connecting or waiting: the next session has the new certificate anyway.
      if (link.current !== undefined) void connectOnce(link);
      else if (link.isConnecting) link.wantsRenewal = true;
    },
    retire: () => {
      end();
      for (const session of link.sessions) drainBounded(session);
    },
    stop: () => {
      end();
      for (const session of link.sessions) session.destroy('this agent stops');
    },
  };
}

/** One try; whatever comes of it, the next one is planned. Never rejects. */
async function connectOnce(link: Link): Promise<void> {
  if (link.isConnecting || link.stopped.signal.aborted) return;
  const { address, logger } = link.options;
  clearTimeout(link.timer);
  link.nextTryAt = undefined;
  link.isConnecting = true;
  try {
    const session = await establish(link).finally(() => {
      link.isConnecting = false;
    });
    const previous = link.current;
    link.current = session;
    link.connectedSince = link.options.clock.now();
    link.acceptedSessions += 1;
    logger.info(`tunnel to controller ${address} is connected`);
    if (previous !== undefined) drainBounded(previous);
  } catch (error) {
    if (link.stopped.signal.aborted) return;
    const message = errorMessage(error);
    if (message !== link.lastError) logger.warn(`tunnel to controller ${address}: ${message}`);
    link.lastError = message;
    planRetry(link);
    return;
  }
  if (!link.wantsRenewal) return;
  link.wantsRenewal = false;
  void connectOnce(link);
}

/** @throws Error when there is no session that the controller has answered on. */
async function establish(link: Link): Promise<YamuxSession> {
  const { options } = link;
  const timeout = AbortSignal.timeout(connectTimeoutMs);
  const signal = AbortSignal.any([link.stopped.signal, timeout]);
  const transport = await options.connect(options.address, signal).catch((error: unknown) => {
    if (timeout.aborted) throw new Error(`no connection within ${connectTimeoutMs / 1000} s`);
    throw error;
  });
  if (signal.aborted) {
    transport.destroy();
    throw new Error('stopped');
  }
  // A controller refuses a certificate only after the handshake is over for this side: its first frame is the proof.
  const answered = Promise.withResolvers<void>();
  const session = createYamuxSession({
    ...options.carrier,
    ...{ role: 'client', transport, budget: options.budget, random: options.random },
    onStream: options.onStream,
    onPeerFrame: () => answered.resolve(),
    onPeerDrain: () => moveAway(link, session),
  });
  link.sessions.add(session);
  const startedAtMs = performance.now();
  void session.ended.then((end) => forget(link, session, { end, startedAtMs }));
  const lost = session.ended.then((end) => {
    throw new Error(end.message);
  });
  await Promise.race([answered.promise, lost]);
  if (link.stopped.signal.aborted) throw new Error('stopped');
  if (!session.isOpen) throw new Error('the controller asked to reconnect');
  return session;
}

/** The controller asks to go: it restarts, or has a newer session of this node. */
function moveAway(link: Link, session: YamuxSession): void {
  if (session !== link.current) return;
  link.current = undefined;
  link.lastError = 'the controller asked to reconnect';
  planReconnect(link, link.options.random() * link.options.drainSpreadMs);
}

function forget(
  link: Link,
  session: YamuxSession,
  { end, startedAtMs }: { readonly end: SessionEnd; readonly startedAtMs: number },
): void {
  link.sessions.delete(session);
  const stats = session.stats();
  link.bytesSent += stats.bytesSent;
  link.bytesReceived += stats.bytesReceived;
  if (link.current !== session) return;
  link.current = undefined;
  if (link.stopped.signal.aborted) return;
  link.lastError = end.message;
  link.options.logger.warn(`tunnel to controller ${link.options.address} is lost: ${end.message}`);
  if (performance.now() - startedAtMs >= steadyAfterMs) {
    link.attempt = 0;
    link.downSinceMs = undefined;
  }
  planRetry(link);
}

function planRetry(link: Link): void {
  const nowMs = performance.now();
  link.downSinceMs ??= nowMs;
  const outage = { attempt: link.attempt, downMs: nowMs - link.downSinceMs };
  link.attempt += 1;
  planReconnect(link, reconnectDelayMs(outage, link.options.random()));
}

function planReconnect(link: Link, delayMs: number): void {
  if (link.stopped.signal.aborted || link.isConnecting) return;
  clearTimeout(link.timer);
  link.nextTryAt = link.options.clock.now() + Math.round(delayMs);
  link.timer = setTimeout(() => void connectOnce(link), delayMs);
}

function drainBounded(session: YamuxSession): void {
  session.drain();
  const timer = setTimeout(() => session.destroy('replaced too long ago'), maxDrainMs).unref();
  void session.ended.then(() => clearTimeout(timer));
}

function describeLink(link: Link): TunnelControllerStatus {
  let { bytesSent, bytesReceived } = link;
  let streams = 0;
  for (const session of link.sessions) {
    const stats = session.stats();
    streams += stats.streams;
    bytesSent += stats.bytesSent;
    bytesReceived += stats.bytesReceived;
  }
  const rttMs = link.current?.stats().rttMs;
  return {
    address: link.options.address,
    isConnected: link.current !== undefined,
    ...(link.current === undefined || link.connectedSince === undefined
      ? {}
      : { connectedSince: link.connectedSince }),
    ...(rttMs === undefined ? {} : { rttMs }),
    ...{ streams, bytesSent, bytesReceived },
    reconnects: Math.max(0, link.acceptedSessions - 1),
    ...(link.lastError === undefined ? {} : { lastError: link.lastError }),
    ...(link.nextTryAt === undefined ? {} : { nextTryAt: link.nextTryAt }),
  };
}
