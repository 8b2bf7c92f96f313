import type { TunnelNodeStatus } from './types.ts';
import type { YamuxSession } from './yamux/types.ts';

/** What an agent's certificate proves, and where it calls from. The gateway has verified all of it. */
export interface AgentIdentity {
  readonly nodeName: string;
  /** Milliseconds since the epoch: the session ends then. */
  readonly notAfterMs: number;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
  readonly remoteAddress: string;
}

/** One living session. */
export interface AgentSession {
  readonly carrier: YamuxSession;
  readonly identity: AgentIdentity;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
}

/** What this controller knows of a node's tunnel, also while it has none. */
export interface NodeRecord {
  readonly nodeName: string;
  /** Oldest first; the newest takes all new streams. */
  readonly sessions: AgentSession[];
  /** Of sessions that are over. */
  bytesToNode: number;
  bytesFromNode: number;
  acceptedSessions: number;
  /** When the last frame of sessions that are over arrived; milliseconds since the epoch. */
  lastSeen: number;
  lastError: string | undefined;
  /** Why the session before the next one ended, for the metrics. */
  lastEnd: string;
  /** How many duplicate sessions are accepted before `duplicatesRefilledAt` counts. */
  duplicateTokens: number;
  duplicatesRefilledAt: number;
}

/** A living session with a second one beside it is normal when certificates rotate or a NAT forgets, but seldom. */
const duplicateBurst = 5;
const duplicateRefillMs = 10_000;

export function createNodeRecord(nodeName: string, now: number): NodeRecord {
  return {
    nodeName,
    sessions: [],
    bytesToNode: 0,
    bytesFromNode: 0,
    acceptedSessions: 0,
    lastSeen: now,
    lastError: undefined,
    lastEnd: 'closed',
    duplicateTokens: duplicateBurst,
    duplicatesRefilledAt: now,
  };
}

/** False when this node had too many second sessions lately. */
export function takeDuplicateToken(record: NodeRecord, now: number): boolean {
  const refilled = Math.floor((now - record.duplicatesRefilledAt) / duplicateRefillMs);
  // A clock that was set back must not lock a node out.
  if (refilled < 0) record.duplicatesRefilledAt = now;
  if (refilled > 0) {
    record.duplicateTokens = Math.min(duplicateBurst, record.duplicateTokens + refilled);
    record.duplicatesRefilledAt += refilled * duplicateRefillMs;
  }
  if (record.duplicateTokens === 0) return false;
  record.duplicateTokens -= 1;
  return true;
}

/** Takes a session that is over out of the record, and keeps what it carried. */
export function removeSession(record: NodeRecord, session: AgentSession, at: Instant): void {
  const index = record.sessions.indexOf(session);
  if (index !== -1) record.sessions.splice(index, 1);
  const stats = session.carrier.stats();
  record.bytesToNode += stats.bytesSent;
  record.bytesFromNode += stats.bytesReceived;
  record.lastSeen = Math.max(record.lastSeen, seenAt(session, at));
}

/** Now, on both clocks. */
export interface Instant {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The clock of `SessionStats.lastFrameAtMs`. */
  readonly monotonicMs: number;
}

export function describeNode(record: NodeRecord, at: Instant): TunnelNodeStatus {
  const newest = record.sessions.at(-1);
  let { bytesToNode, bytesFromNode, lastSeen } = record;
  let streams = 0;
  for (const session of record.sessions) {
    const stats = session.carrier.stats();
    streams += stats.streams;
    bytesToNode += stats.bytesSent;
    bytesFromNode += stats.bytesReceived;
    lastSeen = Math.max(lastSeen, seenAt(session, at));
  }
  const rttMs = newest?.carrier.stats().rttMs;
  return {
    nodeName: record.nodeName,
    sessions: record.sessions.length,
    ...(newest === undefined
      ? {}
      : { connectedSince: newest.acceptedAt, remoteAddress: newest.identity.remoteAddress }),
    ...(rttMs === undefined ? {} : { rttMs }),
    ...{ streams, bytesToNode, bytesFromNode, lastSeen },
    reconnects: Math.max(0, record.acceptedSessions - 1),
    ...(record.lastError === undefined ? {} : { lastError: record.lastError }),
  };
}

/** When the last frame of a session arrived, milliseconds since the epoch. */
function seenAt(session: AgentSession, at: Instant): number {
  return Math.round(at.now - (at.monotonicMs - session.carrier.stats().lastFrameAtMs));
}

/** `last seen 42 s ago`: in the unit that a person would take. Pure. */
export function describeAge(ageMs: number): string {
  const seconds = Math.max(0, Math.round(ageMs / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}
