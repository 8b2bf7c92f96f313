import type { Duplex } from 'node:stream';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { acceptSession } from './accept-session.ts';
import type { OpenedStream } from './answer-connect.ts';
import { createTunnelMetrics, type TunnelMetrics } from './metrics.ts';
import {
  type AgentIdentity,
  type AgentSession,
  describeAge,
  describeNode,
  type NodeRecord,
} from './node-record.ts';
import { newestOpen, type SessionLedger } from './session-ledger.ts';
import { createStallWatch } from './stall-watch.ts';
import type { TunnelNodeStatus } from './types.ts';
import { type CountedWindowBudget, createWindowBudget } from './window-budget.ts';

export interface TunnelSessionsOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Shared with the tunnel server. */
  readonly metrics?: TunnelMetrics;
  /** For all sessions; 64 MiB when left out. `windowBudgetBytes` says how large. */
  readonly budget?: CountedWindowBudget;
  /** Streams of one node, and of all. 4096 and 20,000 unless given. */
  readonly maxStreamsPerNode?: number;
  readonly maxStreams?: number;
  /** How long streams of a session that was replaced may go on. At most, and unless given, 1 h; milliseconds. */
  readonly drainMs?: number;
  /** Over the budget, a stream that nobody reads for this long is closed. 5 min unless given, milliseconds. */
  readonly stalledAfterMs?: number;
  /** Liveness of the carrier; its own defaults unless given. */
  readonly carrier?: SessionLedger['carrier'];
}

/** The sessions of all agents that are connected to this controller. */
export interface TunnelSessions {
  /** Takes over a socket whose peer has proved that it is the agent of a node. */
  accept(socket: Duplex, identity: AgentIdentity): void;
  /** On the newest session of that node, or why not, at once. */
  openStream(nodeName: string): OpenedStream;
  isConnected(nodeName: string): boolean;
  /** Ends every session of a node that was removed, and forgets it. */
  closeNode(nodeName: string, reason: string): void;
  /** Asks all agents to go elsewhere; open streams go on until `close`. No new ones are opened. */
  drain(): void;
  /**
   * As `drain`, and what is left after a second is ended: agents look for another controller and report no failure.
   * New sessions are welcome again afterwards, should their listener come back. Never rejects.
   */
  release(): Promise<void>;
  /** Ends everything now. */
  close(): void;
  /** Streams whose bytes nobody has read for 10 s. */
  stalledStreams(): number;
  /** By node name; connected ones and those that were, as far as they are remembered. */
  status(): readonly TunnelNodeStatus[];
}

const defaultBudgetBytes = 64 * 1024 * 1024;
const defaultMaxStreamsPerNode = 4096;
const defaultMaxStreams = 20_000;
const maxDrainMs = 60 * 60_000;
/** A drain without streams takes one round trip; whoever is further away than this is cut off. */
const releaseMs = 1_000;

export function createTunnelSessions(options: TunnelSessionsOptions): TunnelSessions {
  const metrics = options.metrics ?? createTunnelMetrics(() => performance.now());
  const budget = options.budget ?? createWindowBudget(defaultBudgetBytes);
  const stalls = createStallWatch({
    limitBytes: budget.limitBytes,
    ...(options.stalledAfterMs === undefined ? {} : { stalledAfterMs: options.stalledAfterMs }),
    monotonicMs: () => performance.now(),
    onStalled: (stream, unreadBytes) => {
      metrics.countStalledStream();
      options.logger.warn(`tunnel closed a stream: nobody read its last ${unreadBytes} bytes`);
      stream.resetAndDestroy();
    },
  });
  const ledger: SessionLedger = {
    ...{ metrics, budget, stalls },
    logger: options.logger,
    clock: options.clock,
    carrier: options.carrier ?? {},
    maxStreamsPerNode: options.maxStreamsPerNode ?? defaultMaxStreamsPerNode,
    maxStreams: options.maxStreams ?? defaultMaxStreams,
    drainMs: Math.min(options.drainMs ?? maxDrainMs, maxDrainMs),
    nodes: new Map(),
    gone: new Set(),
    isDraining: false,
  };
  return {
    accept: (socket, identity) => acceptSession(ledger, socket, identity),
    openStream: (nodeName) => openStream(ledger, nodeName),
    isConnected: (nodeName) => newestOpen(ledger.nodes.get(nodeName)) !== undefined,
    closeNode: (nodeName, reason) => {
      for (const { carrier } of [...(ledger.nodes.get(nodeName)?.sessions ?? [])]) {
        carrier.destroy(reason);
      }
      ledger.nodes.delete(nodeName);
      ledger.gone.delete(nodeName);
    },
    drain: () => drain(ledger),
    release: async () => {
      drain(ledger);
      const left = allSessions(ledger).map(({ carrier }) => carrier.ended);
      const timer = setTimeout(() => destroyAll(ledger), releaseMs);
      await Promise.all(left);
      clearTimeout(timer);
      ledger.isDraining = false;
    },
    close: () => {
      ledger.isDraining = true;
      destroyAll(ledger);
      stalls.stop();
    },
    stalledStreams: () => stalls.stalled(),
    status: () => {
      const at = { now: options.clock.now(), monotonicMs: performance.now() };
      return [...ledger.nodes.values()]
        .map((record) => describeNode(record, at))
        .sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1));
    },
  };
}

function drain(ledger: SessionLedger): void {
  ledger.isDraining = true;
  for (const { carrier } of allSessions(ledger)) carrier.drain();
}

function destroyAll(ledger: SessionLedger): void {
  for (const { carrier } of allSessions(ledger)) carrier.destroy('this controller stops');
}

function openStream(ledger: SessionLedger, nodeName: string): OpenedStream {
  const { maxStreamsPerNode, maxStreams } = ledger;
  const record = ledger.nodes.get(nodeName);
  if (ledger.isDraining) return refused('no-session', 'this controller is stopping');
  const session = newestOpen(record);
  if (session === undefined || record === undefined) {
    return refused(
      'no-session',
      `node ${nodeName} has no tunnel: ${describeAbsence(record, ledger.clock.now())}`,
    );
  }
  let streams = 0;
  for (const { carrier } of record.sessions) streams += carrier.streams;
  if (streams >= maxStreamsPerNode) {
    return refused(
      'busy',
      `tunnel busy: ${maxStreamsPerNode} streams to node ${nodeName} are open`,
    );
  }
  if (ledger.stalls.size >= maxStreams) {
    return refused('busy', `tunnel busy: ${maxStreams} streams to nodes are open`);
  }
  const stream = session.carrier.openStream();
  ledger.stalls.add(stream);
  return { type: 'stream', stream };
}

function describeAbsence(record: NodeRecord | undefined, now: number): string {
  if (record === undefined) return 'never connected to this controller';
  return `last seen ${describeAge(now - record.lastSeen)}`;
}

function refused(failure: 'no-session' | 'busy', reason: string): OpenedStream {
  return { type: 'refused', failure, refusal: { status: 503, reason } };
}

/** A copy: ending one changes the records. */
function allSessions(ledger: SessionLedger): AgentSession[] {
  return [...ledger.nodes.values()].flatMap(({ sessions }) => sessions);
}
