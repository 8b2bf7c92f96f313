import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { gatewayServerName } from '../base/gateway-names.ts';
import { commonNameOf, spkiPin } from '../pki/certificate-reader.ts';
import {
  askGateway,
  checkAddress,
  type GatewayAttempt,
  openGateway,
} from './gateway-connection.ts';
import { GatewayError } from './gateway-error.ts';
import { joinPaths } from './join-paths.ts';

/** More than the difference between two clocks that are right, milliseconds. */
const clockToleranceMs = 5 * 60_000;
/** A server may send a chain without end. */
const maxChainLength = 8;

/**
 * Connects without believing anybody, looks for the certificate whose key has one of the pins, and holds everything
 * else against it: signature, name, dates. Nothing is sent but the handshake, unless the pin has matched and the dates
 * are wrong: then the controller is asked for its time.
 * @param pins SHA-256 of the DER SubjectPublicKeyInfo, base64url.
 * @returns the PEM of the CA, to verify the next connection with.
 * @throws GatewayError
 */
export async function verifyGateway(
  attempt: GatewayAttempt,
  pins: readonly string[],
): Promise<string> {
  const tls = await openGateway(attempt, {});
  try {
    const chain = chainOf(tls);
    const leaf = chain[0];
    const authority = chain.find((certificate) => pins.includes(pinOf(certificate.toString())));
    const isSigned = leaf !== undefined && authority !== undefined && isIssuedBy(leaf, authority);
    if (!isSigned) throw pinMismatch(attempt, leaf, authority !== undefined);
    if (leaf.checkHost(gatewayServerName, { subject: 'never' }) === undefined) {
      throw new GatewayError('not-a-gateway', {
        what: attempt.what,
        why: `"${commonNameOf(leaf)}" of the right cluster answers there, and it is no gateway`,
        fix: checkAddress(attempt),
      });
    }
    const wrong = [leaf, authority].find((certificate) => !isInDate(certificate, attempt));
    if (wrong !== undefined) throw await explainDates(attempt, tls, wrong);
    return authority.toString();
  } finally {
    tls.destroy();
  }
}

/** The pin of the first certificate of a PEM text, as tokens have it. */
export function pinOf(certificatePem: string): string {
  return Buffer.from(spkiPin(certificatePem), 'hex').toString('base64url');
}

function chainOf(tls: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let certificate = tls.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < maxChainLength) {
    chain.push(certificate);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

/** The CA's certificate is no secret: that it is in the chain proves nothing, the signature does. */
function isIssuedBy(leaf: X509Certificate, authority: X509Certificate): boolean {
  return authority.ca && leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
}

function isInDate(certificate: X509Certificate, { options }: GatewayAttempt): boolean {
  const nowMs = options.clock.now();
  const { validFromDate, validToDate } = certificate;
  return validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime();
}

function pinMismatch(
  attempt: GatewayAttempt,
  leaf: X509Certificate | undefined,
  hasAuthority: boolean,
): GatewayError {
  const shown = leaf === undefined ? 'no certificate' : `the certificate "${commonNameOf(leaf)}"`;
  const finding = hasAuthority
    ? "which the cluster's CA did not sign"
    : "without the CA that the token's pin is of";
  return new GatewayError('pin-mismatch', {
    what: attempt.what,
    why: `it shows ${shown} ${finding}: somebody answers in its place, or the token is of another cluster; nothing was sent to it`,
    fix: 'use a token of this cluster, and find out what answers at that address',
  });
}

/** Who is right: the controller is asked, whose certificate is the cluster's in all but the dates. */
async function explainDates(
  attempt: GatewayAttempt,
  tls: TLSSocket,
  certificate: X509Certificate,
): Promise<GatewayError> {
  const { what, options } = attempt;
  const nowMs = options.clock.now();
  const answer = await askGateway(attempt, tls, { method: 'GET', path: joinPaths.prefix }).catch(
    () => undefined,
  );
  const theirMs = Date.parse(answer?.date ?? '');
  const { validFromDate, validToDate } = certificate;
  const dates = `the certificate "${commonNameOf(certificate)}" is valid from ${iso(validFromDate)} until ${iso(validToDate)}`;
  if (Math.abs(theirMs - nowMs) < clockToleranceMs) {
    return new GatewayError('certificate', {
      what,
      why: `${dates}, and it is ${iso(nowMs)} here and there`,
      fix: 'restart mini-k8s on the controller, which renews its certificates; if that does not help, set the clocks of both machines',
    });
  }
  const theirs = Number.isNaN(theirMs) ? '' : `, that of the controller ${iso(theirMs)}`;
  return new GatewayError('clock', {
    what,
    why: `the clocks do not agree: that of this machine says ${iso(nowMs)}${theirs}; ${dates}`,
    fix: 'set the clock that is wrong (timedatectl set-ntp true), then try again',
  });
}

function iso(time: Date | number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
}
