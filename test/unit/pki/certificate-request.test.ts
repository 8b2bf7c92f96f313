import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CertificateRequestError,
  parseCertificateRequest,
} from '../../../src/pki/certificate-request.ts';
import {
  bitString,
  constructed,
  encodeDer,
  oid,
  primitive,
  sequence,
  tag,
} from '../../../src/pki/der.ts';
import { oids } from '../../../src/pki/object-identifiers.ts';
import { parseSinglePem, renderPem } from '../../../src/pki/pem.ts';
import { newKey } from './authority.ts';
import {
  altNames,
  buildRequest,
  extensionRequest,
  generalName,
  nameOf,
  type RequestParts,
  utf8,
} from './request-builder.ts';

const key = newKey();
const names = altNames(
  generalName(2, 'edge-1'),
  generalName(7, Buffer.of(192, 0, 2, 7)),
  generalName(7, Buffer.from('00000000000000000000ffff7f000001', 'hex')),
  generalName(1, 'root@edge-1'),
  generalName(6, 'spiffe://edge/1'),
  generalName(8, Buffer.of(0x2a)),
);
const pem = buildRequest({ key, attributes: [extensionRequest(names)] });

describe('parseCertificateRequest', () => {
  it('reads what a kubelet asks for', () => {
    expect(parseCertificateRequest(pem)).toEqual({
      commonName: 'system:node:edge-1',
      organizations: ['system:nodes'],
      otherSubjectAttributes: [],
      dnsNames: ['edge-1'],
      // IPv4 inside IPv6 is what Go makes of it, so that no rule about loopback is evaded
      ipAddresses: ['192.0.2.7', '127.0.0.1'],
      emailAddresses: ['root@edge-1'],
      uris: ['spiffe://edge/1'],
      otherNameCount: 1,
      keyType: 'ECDSA',
      keyBits: 256,
      curve: 'P-256',
      isSignatureValid: true,
    });
  });

  it('reads a request without names and without a subject', () => {
    const request = parseCertificateRequest(buildRequest({ key, subject: sequence() }));
    expect(request).toMatchObject({ commonName: '', organizations: [], dnsNames: [] });
  });

  it('names subject attributes that it does not read', () => {
    const uid = '1.3.6.1.4.1.57683.2';
    const subject = nameOf([oids.commonName, utf8('x')], [uid, utf8('someone')]);
    const request = parseCertificateRequest(buildRequest({ key, subject }));
    expect(request.otherSubjectAttributes).toEqual([uid]);
  });

  it.each<[string, Partial<RequestParts>]>([
    ['made with another key', { signature: Buffer.from('3006020101020101', 'hex') }],
    ['empty', { signature: Buffer.of() }],
    ['of an algorithm that does not fit the key', { algorithm: oids.rsaWithSha256 }],
    ['of an unknown algorithm', { algorithm: '1.2.3.4' }],
  ])('says that a signature is %s', (_what, parts) => {
    expect(parseCertificateRequest(buildRequest({ key, ...parts })).isSignatureValid).toBe(false);
  });

  it('does not hand a curve that the request describes itself to OpenSSL', () => {
    const spki = sequence(
      sequence(oid(oids.ecPublicKey), sequence(primitive(tag.integer, Buffer.of(1)))),
      bitString(Buffer.of(4, 1, 2)),
    );
    const request = parseCertificateRequest(buildRequest({ key, spki }));
    expect(request).toMatchObject({ keyType: 'other', keyBits: 0, isSignatureValid: false });
  });

  const cn = (text: string) => [oids.commonName, utf8(text)] as const;
  it.each<[string, Partial<RequestParts>]>([
    ['another version', { version: 1 }],
    ['two common names', { subject: nameOf(cn('system:node:a'), cn('system:node:b')) }],
    [
      'a common name that is not UTF-8',
      { subject: nameOf([oids.commonName, primitive(tag.utf8String, Buffer.of(0xff))]) },
    ],
    [
      'a common name of another string type',
      { subject: nameOf([oids.commonName, primitive(tag.teletexString, Buffer.from('a'))]) },
    ],
    ['a subject that is a string', { subject: utf8('system:node:a') }],
    ['names twice', { attributes: [extensionRequest(names, names)] }],
    ['names in two attributes', { attributes: [extensionRequest(names), extensionRequest(names)] }],
    [
      'two values in the extension request',
      {
        attributes: [
          sequence(oid(oids.extensionRequest), constructed(tag.set, [sequence(), sequence()])),
        ],
      },
    ],
    ['an address of 5 octets', { attributes: [withName(7, Buffer.alloc(5))] }],
    ['a NUL in a DNS name', { attributes: [withName(2, 'edge-1\0.example')] }],
    ['a DNS name that is not ASCII', { attributes: [withName(2, 'édge')] }],
    ['a key that is no key', { spki: sequence() }],
    ['an EC point off the curve', { spki: p256Spki(Buffer.alloc(65, 4)) }],
    ['a compressed EC point of a wrong length', { spki: p256Spki(Buffer.of(2, 1)) }],
  ])('refuses %s', (_what, parts) => {
    expect(() => parseCertificateRequest(buildRequest({ key, ...parts }))).toThrow(
      CertificateRequestError,
    );
  });

  it('refuses an RSA key whose verification would take long', () => {
    const modulus = Buffer.alloc(1100, 0x5b);
    const rsa = sequence(primitive(tag.integer, modulus), primitive(tag.integer, Buffer.of(3)));
    const spki = sequence(
      sequence(oid(oids.rsaEncryption), primitive(0x05, Buffer.of())),
      bitString(encodeDer(rsa)),
    );
    expect(() => parseCertificateRequest(buildRequest({ key, spki }))).toThrow('8192 bits');
  });

  it.each([
    ['nothing', ''],
    ['two blocks', pem + pem],
    ['text before the block', `hello\n${pem}`],
    ['text after the block', `${pem}hello`],
    ['a header', pem.replace('-----\n', '-----\nProc-Type: 4,ENCRYPTED\n\n')],
    ['another label', pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
    ['a begin without an end', pem.slice(0, 200)],
    ['only the labels', '-----BEGIN CERTIFICATE REQUEST----------END CERTIFICATE REQUEST-----'],
    ['overlapping labels', '-----BEGIN CERTIFICATE REQUEST-----'],
    ['characters that are not base64', pem.replace('\n', '\n!')],
    ['more than 32 KiB', pem + ' '.repeat(33_000)],
  ])('refuses %s', (_what, text) => {
    expect(() => parseCertificateRequest(text)).toThrow(CertificateRequestError);
  });

  const der = parseSinglePem('CERTIFICATE REQUEST', pem) ?? Buffer.of();

  it('refuses every truncation', () => {
    for (let length = 1; length < der.length; length += 1) {
      const text = renderPem('CERTIFICATE REQUEST', der.subarray(0, length));
      expect(() => parseCertificateRequest(text)).toThrow(CertificateRequestError);
    }
  });

  it('calls no request with a changed byte valid, and throws only its own error', () => {
    const change = fc.record({
      at: fc.nat({ max: der.length - 1 }),
      to: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(der);
        for (const { at, to } of changes) bytes[at] = (bytes[at] ?? 0) ^ to;
        if (!bytes.equals(der)) expectRefused(renderPem('CERTIFICATE REQUEST', bytes));
      }),
      { numRuns: 3000 },
    );
  });

  it('throws only its own error for any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary-ascii' }), expectRefused));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (bytes) => {
        expectRefused(renderPem('CERTIFICATE REQUEST', bytes));
      }),
    );
  });

  it('verifies RSA and Ed25519 requests, and leaves other keys alone', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const rsaRequest = buildRequest({ key: rsa, algorithm: oids.rsaWithSha256 });
    expect(parseCertificateRequest(rsaRequest)).toMatchObject({
      keyType: 'RSA',
      keyBits: 2048,
      isSignatureValid: true,
    });
    const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
    expect(parseCertificateRequest(buildRequest({ key: koblitz }))).toMatchObject({
      keyType: 'other',
      isSignatureValid: false,
    });
  });
});

function expectRefused(text: string): void {
  try {
    expect(parseCertificateRequest(text).isSignatureValid).toBe(false);
  } catch (error) {
    expect(error).toBeInstanceOf(CertificateRequestError);
  }
}

function withName(number: number, content: string | Buffer) {
  return extensionRequest(altNames(generalName(number, content)));
}

function p256Spki(point: Buffer) {
  return sequence(sequence(oid(oids.ecPublicKey), oid(oids.p256)), bitString(point));
}
