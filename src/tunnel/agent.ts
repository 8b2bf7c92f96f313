import type { Duplex } from 'node:stream';
import { errorMessage } from '../base/errors.ts';
import type { MetricFamily } from '../base/exposition.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { Component, RunningComponent, Termination } from '../supervisor/types.ts';
import type { AgentAllowList } from './agent-allow-list.ts';
import { type AgentLink, startAgentLink } from './agent-link.ts';
import { agentFamilies } from './agent-metrics.ts';
import type { Dial } from './dial-target.ts';
import { dialTcp } from './dial-tcp.ts';
import { createDialTimes, type DialTimes } from './dial-times.ts';
import { type ServeContext, serveAgentStream } from './serve-agent-stream.ts';
import type { TunnelAgentStatus, TunnelRefusal } from './types.ts';
import { type CountedWindowBudget, createWindowBudget } from './window-budget.ts';
import type { YamuxOptions } from './yamux/types.ts';

export interface TunnelAgentOptions {
  /** `host:port` of the gateways of all controllers; `setControllers` replaces them. */
  readonly controllers: readonly string[];
  /** Opens a verified connection to one of them: `createTunnelConnector`. */
  readonly connect: (address: string, signal: AbortSignal) => Promise<Duplex>;
  /** Asked at every stream. */
  readonly allowList: () => AgentAllowList;
  /** Of the certificate that the next connection would show; looked at each minute. Sessions are renewed when it changes. */
  readonly credentialsFingerprint?: () => Promise<string | undefined>;
  readonly logger: Logger;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** For all sessions; 64 MiB when left out. */
  readonly budget?: CountedWindowBudget;
  readonly dial?: Dial;
  /** TCP connect to a target. 5 s unless given, milliseconds. */
  readonly dialMs?: number;
  /** After a controller's GOAWAY, reconnect at any time within this. 7 s unless given, milliseconds. */
  readonly drainSpreadMs?: number;
  readonly credentialsPollMs?: number;
  readonly carrier?: Pick<YamuxOptions, 'pingIntervalMs' | 'deadAfterMs' | 'firstFrameMs'>;
}

/** A node's tunnel agent as a component: one session to every controller, whatever happens to the network. */
export interface TunnelAgent extends Component {
  /** The controllers from now on; sessions to those that stay are left alone. */
  setControllers(addresses: readonly string[]): void;
  status(): TunnelAgentStatus;
  /** For Prometheus. */
  metrics(): MetricFamily[];
}

const defaultBudgetBytes = 64 * 1024 * 1024;
const headerMs = 3_000;
const defaultDialMs = 5_000;
const defaultDrainSpreadMs = 7_000;
const defaultCredentialsPollMs = 60_000;
/** The same complaint is logged once in this time. */
const repeatAfterMs = 60_000;

interface Agent {
  readonly options: TunnelAgentOptions;
  readonly budget: CountedWindowBudget;
  readonly dials: DialTimes;
  /** By address; empty while it does not run. */
  readonly links: Map<string, AgentLink>;
  addresses: readonly string[];
  isRunning: boolean;
  accepted: number;
  refused: number;
  lastRefusal: TunnelRefusal | undefined;
  lastLoggedAt: number;
}

export function createTunnelAgent(options: TunnelAgentOptions): TunnelAgent {
  const agent: Agent = {
    options,
    budget: options.budget ?? createWindowBudget(defaultBudgetBytes),
    dials: createDialTimes(() => performance.now()),
    links: new Map(),
    addresses: options.controllers,
    isRunning: false,
    accepted: 0,
    refused: 0,
    lastRefusal: undefined,
    lastLoggedAt: Number.NEGATIVE_INFINITY,
  };
  return {
    name: 'tunnel-agent',
    dependsOn: [],
    start: (signal) => startAgent(agent, signal),
    setControllers: (addresses) => {
      agent.addresses = addresses;
      if (agent.isRunning) connectAll(agent);
    },
    status: () => readStatus(agent),
    metrics: () => agentFamilies(readStatus(agent), agent.dials.read()),
  };
}

function readStatus(agent: Agent): TunnelAgentStatus {
  return {
    controllers: [...agent.links.values()].map((link) => link.status()),
    acceptedStreams: agent.accepted,
    refusedStreams: agent.refused,
    ...(agent.lastRefusal === undefined ? {} : { lastRefusal: agent.lastRefusal }),
  };
}

/** Ready at once: a node without a network is ready to be connected. */
async function startAgent(agent: Agent, signal: AbortSignal): Promise<RunningComponent> {
  signal.throwIfAborted();
  const { clock, credentialsPollMs = defaultCredentialsPollMs } = agent.options;
  agent.isRunning = true;
  connectAll(agent);
  const stopWatching = watchCredentials(agent, credentialsPollMs);
  const terminated = Promise.withResolvers<Termination>();
  return {
    terminated: terminated.promise,
    waitReady: async () => {},
    stop: async () => {
      agent.isRunning = false;
      stopWatching();
      for (const link of agent.links.values()) link.stop();
      agent.links.clear();
      terminated.resolve({ reason: 'Stopped', finishedAt: clock.now() });
    },
  };
}

function connectAll(agent: Agent): void {
  const { options, budget, links } = agent;
  const wanted = new Set(agent.addresses);
  for (const [address, link] of links) {
    if (wanted.has(address)) continue;
    links.delete(address);
    link.retire();
  }
  const context = createContext(agent);
  for (const address of wanted) {
    if (links.has(address)) continue;
    const link = startAgentLink({
      ...{ address, budget },
      connect: options.connect,
      onStream: (stream) => serveAgentStream(stream, context),
      logger: options.logger,
      clock: options.clock,
      random: options.random,
      drainSpreadMs: options.drainSpreadMs ?? defaultDrainSpreadMs,
      carrier: options.carrier ?? {},
    });
    links.set(address, link);
  }
}

/** The kubelet replaces its certificate when it likes, and tells nobody. */
function watchCredentials(agent: Agent, intervalMs: number): () => void {
  const { credentialsFingerprint, logger } = agent.options;
  if (credentialsFingerprint === undefined) return () => {};
  let known: string | undefined;
  const look = async () => {
    const found = await credentialsFingerprint();
    if (!agent.isRunning || found === undefined || found === known) return;
    const isFirst = known === undefined;
    known = found;
    if (isFirst) return;
    logger.info('the certificate has changed: renewing the tunnel sessions');
    for (const link of agent.links.values()) link.renew();
  };
  const lookSafely = () =>
    void look().catch((error: unknown) => {
      logger.warn(`cannot read the tunnel's certificate: ${errorMessage(error)}`);
    });
  lookSafely();
  const timer = setInterval(lookSafely, intervalMs).unref();
  return () => clearInterval(timer);
}

/** What all streams have in common. */
function createContext(agent: Agent): ServeContext {
  const { options } = agent;
  return {
    allowList: options.allowList,
    dial: options.dial ?? dialTcp,
    dials: agent.dials,
    headerMs,
    dialMs: options.dialMs ?? defaultDialMs,
    onAccepted: () => {
      agent.accepted += 1;
    },
    onRefused: (target, { status, reason }) => {
      recordRefusal(agent, { target, status, reason, at: options.clock.now() });
    },
  };
}

function recordRefusal(agent: Agent, refusal: TunnelRefusal): void {
  const isRepeated =
    agent.lastRefusal?.reason === refusal.reason && refusal.at - agent.lastLoggedAt < repeatAfterMs;
  agent.refused += 1;
  agent.lastRefusal = refusal;
  if (isRepeated) return;
  agent.lastLoggedAt = refusal.at;
  const { target, status, reason } = refusal;
  agent.options.logger.warn(
    `tunnel agent refused ${target === '' ? 'a request' : target}: ${status} ${reason}`,
  );
}
