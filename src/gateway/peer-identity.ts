import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Peer, PeerCertificate } from '../base/http-route.ts';
import { nodeNameOf } from '../join/node-name.ts';
import type { AgentIdentity } from '../tunnel/node-record.ts';

/** Who is there, and why its certificate does not count where it has one that does not. */
export interface IdentifiedPeer {
  readonly peer: Peer;
  /** `it has no certificate`, `its certificate … expired at …`; undefined when `peer.certificate` is there. */
  readonly problem?: string;
}

const clientAuth = '1.3.6.1.5.5.7.3.2';

/**
 * Reads a TLS connection after its handshake. The dates are held against `nowMs` again: a resumed session brings the
 * verdict of its first handshake.
 */
export function identifyPeer(socket: TLSSocket, nowMs: number): IdentifiedPeer {
  const remoteAddress = plainAddress(socket.remoteAddress);
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return { peer: { remoteAddress }, problem: 'it has no certificate' };
  }
  const { authorizationError } = socket;
  const problem = certificateProblem(certificate, {
    nowMs,
    verifyError: socket.authorized ? undefined : String(authorizationError),
  });
  if (problem !== undefined) return { peer: { remoteAddress }, problem };
  return { peer: { remoteAddress, certificate: describeCertificate(certificate) } };
}

/** The agent that a peer is; undefined for one that is no node. */
export function agentIdentity(peer: Peer): AgentIdentity | undefined {
  const { certificate, remoteAddress } = peer;
  const nodeName = certificate === undefined ? undefined : nodeNameOf(certificate);
  if (certificate === undefined || nodeName === undefined) return undefined;
  const { notAfterMs, fingerprint } = certificate;
  return { nodeName, notAfterMs, fingerprint, remoteAddress };
}

/** IPv4 as it is written, also where a dual-stack socket says `::ffff:10.0.0.4`. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

/** Why a certificate does not prove who a client is; undefined when it does. */
export function certificateProblem(
  certificate: X509Certificate,
  { nowMs, verifyError }: { readonly nowMs: number; readonly verifyError: string | undefined },
): string | undefined {
  const name = certificate.subject.replaceAll('\n', ', ').slice(0, 200);
  const { validFromDate, validToDate } = certificate;
  if (validToDate.getTime() <= nowMs) {
    return `its certificate (${name}) expired at ${validToDate.toISOString()}`;
  }
  if (validFromDate.getTime() > nowMs) {
    return `its certificate (${name}) is not valid before ${validFromDate.toISOString()}`;
  }
  if (verifyError !== undefined) return `its certificate (${name}) is refused: ${verifyError}`;
  const isForClients = certificate.keyUsage?.includes(clientAuth) ?? false;
  return isForClients ? undefined : `its certificate (${name}) is not for clients`;
}

/** Values of the subject as they are in the certificate: no text form is parsed, in which they could be forged. */
function describeCertificate(certificate: X509Certificate): PeerCertificate {
  const subject: Record<string, unknown> = { ...certificate.toLegacyObject().subject };
  const values = (attribute: string) => [subject[attribute] ?? []].flat().map(String);
  const commonNames = values('CN');
  return {
    // Two common names prove none.
    commonName: commonNames.length === 1 ? (commonNames[0] ?? '') : '',
    organizations: values('O'),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}
