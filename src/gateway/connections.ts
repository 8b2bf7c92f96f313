import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type AdmissionLimits, type Applicant, createAdmission, createTally } from './admission.ts';
import type { Complaints } from './complaints.ts';
import { plainAddress } from './peer-identity.ts';

export interface GatewayLimits extends AdmissionLimits {
  /** Milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** For a request's header; its body has `requestTimeoutMs` in all. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** A connection between two requests, and one that takes no byte of its answer. */
  readonly idleTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** HTTP connections in all; tunnels have bounds of their own. */
  readonly httpConnections: number;
  /** Of one address, or of one node when it has shown its certificate. */
  readonly httpConnectionsPerPeer: number;
}

/** A site with a thousand nodes behind one address must come in; a hundred dawdlers must not keep others out. */
export const defaultLimits: GatewayLimits = {
  handshakes: 64,
  handshakesPerAddress: 32,
  waiting: 4096,
  waitingPerAddress: 2048,
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 15_000,
  stallTimeoutMs: 120_000,
  httpConnections: 2048,
  httpConnectionsPerPeer: 512,
};

/** Counts, bounds and ends what comes to the port. */
export interface Connections {
  /** A TCP connection: `startTls` is called when its turn has come. */
  admit(socket: Socket, startTls: () => void): void;
  /** Its handshake is done. False when it went away meanwhile. */
  secured(tls: TLSSocket): boolean;
  /** It serves HTTP from now on; false when its peer has too many of these. */
  enterHttp(tls: TLSSocket, peerKey: string): boolean;
  /** It is somebody else's from now on: a proxied stream. */
  leaveHttp(tls: TLSSocket): void;
  enterTunnel(tls: TLSSocket): void;
  countFailedHandshake(): void;
  destroyAll(): void;
  status(): ConnectionCounts;
}

export interface ConnectionCounts {
  /** Open now, by what they are. */
  readonly tunnelConnections: number;
  readonly httpConnections: number;
  readonly handshaking: number;
  readonly waiting: number;
  /** Since the start of this process. */
  readonly acceptedConnections: number;
  readonly failedHandshakes: number;
  readonly refusedConnections: number;
}

export function createConnections(limits: GatewayLimits, complaints: Complaints): Connections {
  const admission = createAdmission(limits, () => performance.now());
  /** By address and port of the peer: TLS wraps a socket in another object. */
  const open = new Map<string, { readonly socket: Socket; readonly applicant: Applicant }>();
  const http = createHttpLedger(limits);
  const tunnels = new Set<TLSSocket>();
  const counts = { accepted: 0, failed: 0, refused: 0 };

  function refuse(socket: Socket, message: string): void {
    counts.refused += 1;
    complaints.warn(message);
    socket.destroy();
  }

  return {
    admit(socket, startTls) {
      // Errors are followed by `close`.
      socket.on('error', () => {});
      const key = keyOf(socket);
      const remoteAddress = plainAddress(socket.remoteAddress);
      if (key === undefined) {
        socket.destroy();
        return;
      }
      counts.accepted += 1;
      // Its turn may come between its end and the event that tells of it.
      const begin = () => (socket.destroyed ? undefined : startTls());
      const applicant: Applicant = { remoteAddress, begin };
      open.set(key, { socket, applicant });
      socket.once('close', () => {
        admission.leave(applicant);
        if (open.get(key)?.socket === socket) open.delete(key);
      });
      if (admission.apply(applicant)) return;
      refuse(
        socket,
        `gateway closed connections of ${remoteAddress}: too many wait for a handshake`,
      );
    },
    secured(tls) {
      const found = open.get(keyOf(tls) ?? '');
      if (found === undefined) return false;
      admission.leave(found.applicant);
      return true;
    },
    enterHttp(tls, peerKey) {
      if (http.enter(tls, peerKey)) return true;
      refuse(tls, `gateway closed HTTP connections of ${peerKey}: too many are open`);
      return false;
    },
    leaveHttp: http.leave,
    enterTunnel(tls) {
      tunnels.add(tls);
      tls.once('close', () => tunnels.delete(tls));
    },
    countFailedHandshake: () => {
      counts.failed += 1;
    },
    destroyAll: () => {
      for (const { socket } of [...open.values()]) socket.destroy();
      for (const tls of [...http.sockets(), ...tunnels]) tls.destroy();
    },
    status: () => ({
      tunnelConnections: tunnels.size,
      httpConnections: http.sockets().length,
      handshaking: admission.handshaking,
      waiting: admission.waiting,
      acceptedConnections: counts.accepted,
      failedHandshakes: counts.failed,
      refusedConnections: counts.refused,
    }),
  };
}

/** Which connections serve HTTP, and whose they are. */
function createHttpLedger(limits: GatewayLimits) {
  const owners = new Map<TLSSocket, string>();
  const countBy = createTally();
  const leave = (tls: TLSSocket) => {
    const owner = owners.get(tls);
    if (owner === undefined) return;
    owners.delete(tls);
    countBy.add(owner, -1);
  };
  return {
    enter(tls: TLSSocket, owner: string): boolean {
      const isFull =
        owners.size >= limits.httpConnections ||
        countBy.get(owner) >= limits.httpConnectionsPerPeer;
      if (isFull) return false;
      owners.set(tls, owner);
      countBy.add(owner, 1);
      tls.once('close', () => leave(tls));
      return true;
    },
    leave,
    sockets: (): TLSSocket[] => [...owners.keys()],
  };
}

function keyOf(socket: Socket): string | undefined {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
