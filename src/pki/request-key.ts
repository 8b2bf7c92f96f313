import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import {
  bitStringOctets,
  childrenOf,
  DerError,
  type DerNode,
  encodeDer,
  oidOf,
  tag,
} from './der.ts';
import { oids } from './object-identifiers.ts';

/** The public key of a request. */
export interface RequestKey {
  readonly keyType: 'RSA' | 'ECDSA' | 'Ed25519' | 'other';
  /** Modulus or curve size; 0 for `other`. */
  readonly keyBits: number;
  /** For ECDSA only. */
  readonly curve?: 'P-256' | 'P-384' | 'P-521';
}

/** A key that signatures can be verified with; undefined for `other`. */
export interface ReadRequestKey {
  readonly facts: RequestKey;
  readonly publicKey: KeyObject | undefined;
}

const curves: ReadonlyMap<string, Required<RequestKey>> = new Map([
  [oids.p256, { keyType: 'ECDSA', keyBits: 256, curve: 'P-256' }],
  [oids.p384, { keyType: 'ECDSA', keyBits: 384, curve: 'P-384' }],
  [oids.p521, { keyType: 'ECDSA', keyBits: 521, curve: 'P-521' }],
]);

/** Signature algorithms by key type, with their digest; SHA-1 is too weak to count. */
const digests: Readonly<Record<RequestKey['keyType'], ReadonlyMap<string, string | null>>> = {
  ECDSA: new Map([
    [oids.ecdsaWithSha256, 'sha256'],
    [oids.ecdsaWithSha384, 'sha384'],
    [oids.ecdsaWithSha512, 'sha512'],
  ]),
  RSA: new Map([
    [oids.rsaWithSha256, 'sha256'],
    [oids.rsaWithSha384, 'sha384'],
    [oids.rsaWithSha512, 'sha512'],
  ]),
  Ed25519: new Map([[oids.ed25519, null]]),
  other: new Map(),
};

/** Verification takes time that grows with the square of the size: 8192 bits cost about a millisecond. */
const maxRsaBits = 8192;

const other: ReadRequestKey = { facts: { keyType: 'other', keyBits: 0 }, publicKey: undefined };

/**
 * Reads a SubjectPublicKeyInfo. Only keys of a kind that we know by its identifier reach OpenSSL: never a curve that
 * the request describes itself.
 * @throws DerError when the key is malformed or an RSA key has more than 8192 bits.
 */
export function readRequestKey(spki: DerNode | undefined): ReadRequestKey {
  const [algorithm, key] = childrenOf(spki, tag.sequence);
  bitStringOctets(key);
  const [type, parameters] = childrenOf(algorithm, tag.sequence);
  switch (oidOf(type)) {
    case oids.ecPublicKey: {
      const isNamed = parameters?.type === tag.oid;
      const facts = isNamed ? curves.get(oidOf(parameters)) : undefined;
      return facts === undefined ? other : { facts, publicKey: loadKey(spki) };
    }
    case oids.rsaEncryption: {
      const publicKey = loadKey(spki);
      const keyBits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
      if (keyBits > maxRsaBits) throw new DerError(`the RSA key has more than ${maxRsaBits} bits`);
      return { facts: { keyType: 'RSA', keyBits }, publicKey };
    }
    case oids.ed25519:
      return { facts: { keyType: 'Ed25519', keyBits: 256 }, publicKey: loadKey(spki) };
    default:
      return other;
  }
}

export interface RequestSignature {
  readonly signed: Buffer;
  readonly algorithm: DerNode | undefined;
  readonly signature: Buffer;
}

/** Whether the key made the signature, with an algorithm that fits the key. */
export function isSignedBy(key: ReadRequestKey, request: RequestSignature): boolean {
  const [type] = childrenOf(request.algorithm, tag.sequence);
  const digest = digests[key.facts.keyType].get(oidOf(type));
  if (digest === undefined || key.publicKey === undefined) return false;
  return verify(digest, request.signed, key.publicKey, request.signature);
}

function loadKey(spki: DerNode | undefined): KeyObject {
  if (spki === undefined) throw new DerError('the public key is missing');
  try {
    return createPublicKey({ key: encodeDer(spki), format: 'der', type: 'spki' });
  } catch {
    // it only parses; OpenSSL's codes for malformed input differ by version
    throw new DerError('the public key cannot be read');
  }
}
