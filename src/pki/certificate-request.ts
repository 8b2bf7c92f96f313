import {
  bitStringOctets,
  childrenOf,
  contentOf,
  DerError,
  decodeDer,
  encodeDer,
  tag,
} from './der.ts';
import { parseSinglePem } from './pem.ts';
import { isSignedBy, type RequestKey, readRequestKey } from './request-key.ts';
import {
  type RequestAltNames,
  type RequestSubject,
  readAltNames,
  readSubject,
} from './request-names.ts';

/** What a PKCS#10 request asks for. Nothing in it is to be believed unless `isSignatureValid`. */
export interface CertificateRequest extends RequestSubject, RequestAltNames, RequestKey {
  /** Whether the requester holds the private key. Always false for keys of type `other` and SHA-1 signatures. */
  readonly isSignatureValid: boolean;
}

/** A request that is not well-formed. The message says why and holds nothing of the request itself. */
export class CertificateRequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CertificateRequestError';
  }
}

/** A request with an RSA-4096 key and a hundred names has about 6 KiB. */
const maxPemLength = 32 * 1024;

/**
 * Reads a certificate signing request as a CertificateSigningRequest object carries it (after base64): one PEM block.
 * Strict, because another program signs what this one has judged: whatever two readers could understand differently
 * (several blocks, BER, repeated names or extensions) is refused. Safe for hostile input: bounded in size and depth.
 *
 * @throws CertificateRequestError when it is not a well-formed PKCS#10 request of at most 32 KiB.
 * @see https://www.rfc-editor.org/rfc/rfc2986
 */
export function parseCertificateRequest(pem: string): CertificateRequest {
  if (pem.length > maxPemLength) {
    throw new CertificateRequestError(`it has more than ${maxPemLength} characters`);
  }
  const der = parseSinglePem('CERTIFICATE REQUEST', pem);
  if (der === undefined) {
    throw new CertificateRequestError('it is not a single PEM block CERTIFICATE REQUEST');
  }
  try {
    return readRequest(der);
  } catch (error) {
    if (error instanceof DerError) throw new CertificateRequestError(error.message);
    throw error;
  }
}

function readRequest(der: Buffer): CertificateRequest {
  const [info, algorithm, signature, ...rest] = childrenOf(decodeDer(der), tag.sequence);
  const [version, subject, spki, attributes, ...more] = childrenOf(info, tag.sequence);
  if (info === undefined || rest.length > 0 || more.length > 0) {
    throw new DerError('the request has too many parts');
  }
  if (!contentOf(version, tag.integer).equals(Buffer.of(0))) {
    throw new DerError('the version is not 1');
  }
  const key = readRequestKey(spki);
  return {
    ...readSubject(subject),
    ...readAltNames(attributes),
    ...key.facts,
    isSignatureValid: isSignedBy(key, {
      signed: encodeDer(info),
      algorithm,
      signature: bitStringOctets(signature),
    }),
  };
}
