import type { X509Certificate } from 'node:crypto';
import type { Authority } from './certificate-builder.ts';
import { readCertificates, readPrivateKey, subjectValues } from './certificate-reader.ts';
import { canonicalIp } from './ip-octets.ts';
import { oids } from './object-identifiers.ts';
import type { CertificateSpec, IssueReason } from './types.ts';

export interface LeafFiles {
  /** Content of `certFile` and `keyFile`, undefined when there is no such file. */
  readonly certPem: string | undefined;
  readonly keyPem: string | undefined;
}

/**
 * Why a leaf must be issued, or undefined when its files are what the spec asks for. The reasons are tried from the
 * one that makes the files worthless to the one that only makes them old.
 */
export function issueReasonFor(
  spec: CertificateSpec,
  files: LeafFiles,
  context: { readonly authority: Authority; readonly nowMs: number },
): IssueReason | undefined {
  if (files.certPem === undefined || files.keyPem === undefined) return 'missing';
  const chain = readCertificates(files.certPem);
  const key = readPrivateKey(files.keyPem);
  if (chain === undefined || key === undefined) return 'unreadable';
  const [leaf, ...rest] = chain;
  if (!leaf.checkPrivateKey(key)) return 'key-mismatch';
  const { certificate: issuer } = context.authority;
  if (!isIssuedBy(leaf, issuer) || !isChain(rest, spec, issuer)) return 'authority-changed';
  return contentReason(leaf, spec) ?? timeReason(leaf, issuer, context.nowMs);
}

/**
 * When a certificate is due: two thirds of its life are over.
 * @returns milliseconds since the epoch.
 */
export function renewalTimeMs(certificate: X509Certificate): number {
  const from = certificate.validFromDate.getTime();
  const until = certificate.validToDate.getTime();
  return from + ((until - from) * 2) / 3;
}

function isIssuedBy(leaf: X509Certificate, issuer: X509Certificate): boolean {
  return leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey);
}

/** What follows the leaf in its file: the authority's certificate when asked for, else nothing. */
function isChain(
  rest: readonly X509Certificate[],
  spec: CertificateSpec,
  issuer: X509Certificate,
): boolean {
  const expected = spec.includeAuthority === true ? [issuer] : [];
  return (
    rest.length === expected.length &&
    rest.every((certificate, index) => expected[index]?.raw.equals(certificate.raw) === true)
  );
}

function contentReason(leaf: X509Certificate, spec: CertificateSpec): IssueReason | undefined {
  const purpose = spec.usage === 'server' ? oids.serverAuth : oids.clientAuth;
  // `keyUsage` of Node.js is the extended key usage
  if (leaf.ca || !isSameSet(leaf.keyUsage ?? [], [purpose])) return 'usage-changed';
  if (
    !isSameSet(subjectValues(leaf, 'CN'), [spec.commonName]) ||
    !isSameSet(subjectValues(leaf, 'O'), spec.organizations)
  ) {
    return 'subject-changed';
  }
  const wanted = [
    ...spec.dnsNames.map((name) => `DNS:${name}`),
    ...spec.ipAddresses.map((address) => `IP Address:${canonicalIp(address) ?? address}`),
  ];
  return isSameSet(altNames(leaf), wanted) ? undefined : 'sans-changed';
}

function timeReason(
  leaf: X509Certificate,
  issuer: X509Certificate,
  nowMs: number,
): IssueReason | undefined {
  if (nowMs >= renewalTimeMs(leaf)) return 'expiring';
  // a clock before the authority's own beginning is the one that is wrong: issuing now would make it worse
  const isClockPlausible = nowMs >= issuer.validFromDate.getTime();
  return isClockPlausible && nowMs < leaf.validFromDate.getTime() ? 'not-yet-valid' : undefined;
}

/** `DNS:name` and `IP Address:address` entries. Anything exotic stays as it is and equals no spec. */
function altNames(certificate: X509Certificate): string[] {
  const text = certificate.subjectAltName;
  if (text === undefined) return [];
  return text.split(', ').map((entry) => {
    const address = /^IP Address:(.+)$/.exec(entry)?.[1];
    return address === undefined ? entry : `IP Address:${canonicalIp(address) ?? address}`;
  });
}

function isSameSet(left: readonly string[], right: readonly string[]): boolean {
  const a = new Set(left);
  const b = new Set(right);
  return a.size === b.size && [...a].every((value) => b.has(value));
}
