import type { Duplex } from 'node:stream';
import {
  type AgentIdentity,
  type AgentSession,
  createNodeRecord,
  type NodeRecord,
  removeSession,
  takeDuplicateToken,
} from './node-record.ts';
import { newestOpen, type SessionLedger } from './session-ledger.ts';
import { createYamuxSession } from './yamux/session.ts';
import type { SessionEnd } from './yamux/types.ts';

/** A certificate's end is looked at this often besides: a timer that sleeps for a year knows nothing of set clocks. */
const expiryCheckMs = 60 * 60_000;
/** Nodes that are gone are remembered, for the reason that a user reads, up to this many. */
const maxGoneNodes = 4096;

/** Takes over a socket; the session lives until its peer, its certificate or a newer session ends it. */
export function acceptSession(
  ledger: SessionLedger,
  socket: Duplex,
  identity: AgentIdentity,
): void {
  const { nodeName, remoteAddress } = identity;
  const now = ledger.clock.now();
  if (ledger.isDraining || identity.notAfterMs <= now) {
    socket.destroy();
    return;
  }
  const record = ledger.nodes.get(nodeName) ?? createNodeRecord(nodeName, now);
  const previous = newestOpen(record);
  if (previous !== undefined && !admitDuplicate(ledger, record, previous, identity)) {
    socket.destroy();
    return;
  }
  const session: AgentSession = {
    carrier: createYamuxSession({
      ...ledger.carrier,
      role: 'server',
      transport: socket,
      maxStreams: ledger.maxStreamsPerNode,
      budget: ledger.budget,
    }),
    identity,
    acceptedAt: now,
  };
  if (record.acceptedSessions > 0) {
    ledger.metrics.countReconnect(previous === undefined ? record.lastEnd : 'replaced');
  }
  record.acceptedSessions += 1;
  for (const older of record.sessions) retire(ledger, record, older);
  record.sessions.push(session);
  ledger.nodes.set(nodeName, record);
  ledger.gone.delete(nodeName);
  ledger.logger.info(`tunnel of node ${nodeName} is connected from ${remoteAddress}`);
  const stopExpiry = watchExpiry(ledger, record, session);
  void session.carrier.ended.then((end) => {
    stopExpiry();
    forget(ledger, record, session, end);
  });
}

/** True when a second session may take the place of a living one. */
function admitDuplicate(
  ledger: SessionLedger,
  record: NodeRecord,
  previous: AgentSession,
  identity: AgentIdentity,
): boolean {
  const { logger, clock } = ledger;
  ledger.metrics.countDuplicate();
  const { nodeName, remoteAddress } = identity;
  const rival = previous.identity.remoteAddress;
  if (takeDuplicateToken(record, clock.now())) {
    // The rotation of a certificate looks like this too, and is nothing to warn of.
    if (previous.identity.fingerprint === identity.fingerprint) {
      logger.warn(
        `node ${nodeName} has a second tunnel session, from ${remoteAddress}; the one from ${rival} is replaced`,
      );
    }
    return true;
  }
  const message = `two hosts seem to use the identity of node ${nodeName}: ${rival} and ${remoteAddress} replace each other's tunnel`;
  if (record.lastError !== message) logger.error(message);
  record.lastError = message;
  return false;
}

/** Its streams go on, for a while. */
function retire(ledger: SessionLedger, record: NodeRecord, session: AgentSession): void {
  session.carrier.drain();
  const timer = setTimeout(() => {
    record.lastError = 'streams of a session that was replaced went on for too long';
    session.carrier.destroy(record.lastError);
  }, ledger.drainMs).unref();
  void session.carrier.ended.then(() => clearTimeout(timer));
}

function watchExpiry(ledger: SessionLedger, record: NodeRecord, session: AgentSession): () => void {
  const { identity, carrier } = session;
  let timer: NodeJS.Timeout | undefined;
  const check = () => {
    const leftMs = identity.notAfterMs - ledger.clock.now();
    if (leftMs > 0) {
      timer = setTimeout(check, Math.min(leftMs, expiryCheckMs)).unref();
      return;
    }
    record.lastError = `the certificate of node ${identity.nodeName} has expired`;
    carrier.destroy(record.lastError);
  };
  check();
  return () => clearTimeout(timer);
}

function forget(
  ledger: SessionLedger,
  record: NodeRecord,
  session: AgentSession,
  end: SessionEnd,
): void {
  const at = { now: ledger.clock.now(), monotonicMs: performance.now() };
  removeSession(record, session, at);
  if (ledger.nodes.get(record.nodeName) !== record) return;
  record.lastEnd = end.cause;
  if (end.cause !== 'closed') record.lastError = end.message;
  if (record.sessions.length > 0) return;
  ledger.logger.info(`tunnel of node ${record.nodeName} is gone: ${end.message}`);
  ledger.gone.add(record.nodeName);
  if (ledger.gone.size <= maxGoneNodes) return;
  const [longestGone] = ledger.gone;
  if (longestGone === undefined) return;
  ledger.gone.delete(longestGone);
  ledger.nodes.delete(longestGone);
}
