import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import { certificateBlocks } from './pem.ts';

/** The certificates of a PEM text in order; undefined when there is none or one cannot be read. */
export function readCertificates(
  pem: string,
): readonly [X509Certificate, ...X509Certificate[]] | undefined {
  const [first, ...rest] = certificateBlocks(pem);
  if (first === undefined) return undefined;
  try {
    return [new X509Certificate(first), ...rest.map((block) => new X509Certificate(block))];
  } catch {
    // OpenSSL's codes for malformed input differ by version; the constructor does nothing but parse
    return undefined;
  }
}

/** A private key from PEM when it is an ECDSA P-256 key; undefined for anything else. */
export function readPrivateKey(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    const isP256 = key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    return key.asymmetricKeyType === 'ec' && isP256 ? key : undefined;
  } catch {
    // as above: createPrivateKey only parses, and its message must not be shown (it is about a secret)
    return undefined;
  }
}

/** The common name, empty when there is none. */
export function commonNameOf(certificate: X509Certificate): string {
  return subjectValues(certificate, 'CN')[0] ?? '';
}

/** All values of one subject attribute by its short name (`CN`, `O`), unescaped, in order. */
export function subjectValues(certificate: X509Certificate, attribute: string): readonly string[] {
  const subject: Record<string, unknown> = { ...certificate.toLegacyObject().subject };
  const value = subject[attribute];
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map(String) : [String(value)];
}

/**
 * The pin of a certificate's key: SHA-256 over its DER SubjectPublicKeyInfo, as 64 hex digits. It stays the same
 * when a certificate is made again from the same key.
 * @param certificatePem the first certificate in it counts.
 * @throws UserError when there is no readable certificate.
 * @see https://www.rfc-editor.org/rfc/rfc7469#section-2.4
 */
export function spkiPin(certificatePem: string): string {
  const [certificate] = readCertificates(certificatePem) ?? [];
  if (certificate === undefined) {
    throw new UserError({
      what: 'compute the pin of a certificate',
      why: 'the text holds no readable PEM certificate',
    });
  }
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex');
}
