import {
  createHash,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  type X509Certificate,
} from 'node:crypto';
import {
  bitString,
  bitStringOctets,
  childrenOf,
  constructed,
  contentOf,
  contextTag,
  type DerNode,
  decodeDer,
  encodeDer,
  hasTag,
  oid,
  oidOf,
  primitive,
  sequence,
  tag,
  time,
} from './der.ts';
import { parseIpOctets } from './ip-octets.ts';
import { oids } from './object-identifiers.ts';
import { renderPem } from './pem.ts';
import type { CertificateSpec } from './types.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** Nodes' clocks differ a little: a certificate is valid from five minutes before it was made. */
const backdateMs = 5 * 60 * 1000;

/** A certificate authority in memory. */
export interface Authority {
  readonly certificate: X509Certificate;
  /** ECDSA P-256. */
  readonly privateKey: KeyObject;
}

export interface AuthorityCertificateOptions {
  readonly commonName: string;
  readonly ttlDays: number;
  /** ECDSA P-256. */
  readonly privateKey: KeyObject;
  readonly nowMs: number;
}

/**
 * A self-signed CA certificate (X.509 v3, PEM). Made again from the same key and name it verifies the same leaves:
 * its subject and key identifier are equal, only serial number and dates differ.
 */
export function buildAuthorityCertificate(options: AuthorityCertificateOptions): string {
  const publicKey = createPublicKey(options.privateKey);
  const name = distinguishedName(options.commonName, []);
  return signedCertificate({
    issuer: name,
    subject: name,
    publicKey,
    signingKey: options.privateKey,
    notBeforeMs: options.nowMs - backdateMs,
    notAfterMs: options.nowMs + options.ttlDays * dayMs,
    extensions: [
      criticalExtension(oids.basicConstraints, sequence(primitive(tag.boolean, Buffer.of(0xff)))),
      // digitalSignature, keyCertSign and cRLSign: bits 0, 5 and 6
      criticalExtension(oids.keyUsage, bitString(Buffer.of(0b1000_0110), 1)),
      extension(oids.subjectKeyIdentifier, primitive(tag.octetString, keyIdentifier(publicKey))),
    ],
  });
}

/** What a leaf says; a `CertificateSpec` is one. */
export type LeafSubject = Pick<
  CertificateSpec,
  'commonName' | 'organizations' | 'usage' | 'dnsNames' | 'ipAddresses' | 'ttlDays'
>;

export interface LeafCertificateOptions {
  readonly subject: LeafSubject;
  /** ECDSA P-256. */
  readonly publicKey: KeyObject;
  readonly authority: Authority;
  readonly nowMs: number;
}

/** A leaf certificate (X.509 v3, PEM). It never outlives its authority. */
export function buildLeafCertificate(options: LeafCertificateOptions): string {
  const { subject, publicKey, authority } = options;
  const issuer = issuerFacts(authority.certificate);
  const purpose = subject.usage === 'server' ? oids.serverAuth : oids.clientAuth;
  const keyId = primitive(contextTag(0, 'primitive'), issuer.keyIdentifier);
  return signedCertificate({
    issuer: issuer.name,
    subject: distinguishedName(subject.commonName, subject.organizations),
    publicKey,
    signingKey: authority.privateKey,
    notBeforeMs: options.nowMs - backdateMs,
    notAfterMs: Math.min(
      options.nowMs + subject.ttlDays * dayMs,
      authority.certificate.validToDate.getTime(),
    ),
    extensions: [
      criticalExtension(oids.basicConstraints, sequence()),
      // digitalSignature: bit 0
      criticalExtension(oids.keyUsage, bitString(Buffer.of(0b1000_0000), 7)),
      extension(oids.extendedKeyUsage, sequence(oid(purpose))),
      extension(oids.subjectKeyIdentifier, primitive(tag.octetString, keyIdentifier(publicKey))),
      extension(oids.authorityKeyIdentifier, sequence(keyId)),
      ...subjectAltNames(subject),
    ],
  });
}

interface CertificateParts {
  readonly issuer: DerNode;
  readonly subject: DerNode;
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly DerNode[];
}

function signedCertificate(parts: CertificateParts): string {
  const algorithm = sequence(oid(oids.ecdsaWithSha256));
  const version3 = primitive(tag.integer, Buffer.of(2));
  const body = sequence(
    constructed(contextTag(0, 'constructed'), [version3]),
    primitive(tag.integer, serialNumber()),
    algorithm,
    parts.issuer,
    sequence(time(parts.notBeforeMs), time(parts.notAfterMs)),
    parts.subject,
    decodeDer(parts.publicKey.export({ type: 'spki', format: 'der' })),
    constructed(contextTag(3, 'constructed'), [sequence(...parts.extensions)]),
  );
  const signature = sign('sha256', encodeDer(body), parts.signingKey);
  return renderPem('CERTIFICATE', encodeDer(sequence(body, algorithm, bitString(signature))));
}

/** 128 random bits, positive and minimally encoded: the first octet is 0x01 to 0x7f (OpenSSL refuses padding). */
function serialNumber(): Buffer {
  const serial = randomBytes(16);
  serial[0] = (randomBytes(1).readUInt8() % 0x7f) + 1;
  return serial;
}

function distinguishedName(commonName: string, organizations: readonly string[]): DerNode {
  return sequence(
    ...organizations.map((organization) => nameAttribute(oids.organization, organization)),
    nameAttribute(oids.commonName, commonName),
  );
}

function nameAttribute(type: string, value: string): DerNode {
  return constructed(tag.set, [sequence(oid(type), primitive(tag.utf8String, Buffer.from(value)))]);
}

function subjectAltNames(subject: LeafSubject): DerNode[] {
  const names = [...new Set(subject.dnsNames)].map((name) =>
    primitive(contextTag(2, 'primitive'), Buffer.from(name)),
  );
  const octets = new Map(
    subject.ipAddresses.map((address) => {
      const parsed = parseIpOctets(address);
      if (parsed === undefined) throw new TypeError(`not an IP address: ${address}`);
      return [parsed.toString('hex'), parsed];
    }),
  );
  const addresses = [...octets.values()].map((ip) => primitive(contextTag(7, 'primitive'), ip));
  if (names.length + addresses.length === 0) return [];
  return [extension(oids.subjectAltName, sequence(...names, ...addresses))];
}

function extension(type: string, value: DerNode): DerNode {
  return sequence(oid(type), primitive(tag.octetString, encodeDer(value)));
}

function criticalExtension(type: string, value: DerNode): DerNode {
  return sequence(
    oid(type),
    primitive(tag.boolean, Buffer.of(0xff)),
    primitive(tag.octetString, encodeDer(value)),
  );
}

/** The name and key identifier that leaves must repeat, byte for byte, also of an authority that others made. */
function issuerFacts(certificate: X509Certificate): { name: DerNode; keyIdentifier: Buffer } {
  const [body] = childrenOf(decodeDer(certificate.raw), tag.sequence);
  const fields = childrenOf(body, tag.sequence);
  const [name] = fields.slice(5);
  if (name === undefined) throw new TypeError('a certificate without a subject');
  const wrapper = fields.find((field) => hasTag(field, contextTag(3, 'constructed')));
  const [list] = wrapper === undefined ? [] : childrenOf(wrapper, contextTag(3, 'constructed'));
  const extensions = list === undefined ? [] : childrenOf(list, tag.sequence);
  for (const entry of extensions) {
    const parts = childrenOf(entry, tag.sequence);
    if (oidOf(parts[0]) !== oids.subjectKeyIdentifier) continue;
    const value = decodeDer(contentOf(parts.at(-1), tag.octetString));
    return { name, keyIdentifier: contentOf(value, tag.octetString) };
  }
  return { name, keyIdentifier: keyIdentifier(certificate.publicKey) };
}

/** RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of the subjectPublicKey. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const spki = decodeDer(publicKey.export({ type: 'spki', format: 'der' }));
  const [, key] = childrenOf(spki, tag.sequence);
  return createHash('sha256').update(bitStringOctets(key)).digest().subarray(0, 20);
}
