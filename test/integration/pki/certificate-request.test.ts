import { describe, expect, it } from 'vitest';
import {
  CertificateRequestError,
  parseCertificateRequest,
} from '../../../src/pki/certificate-request.ts';
import { parseSinglePem, renderPem } from '../../../src/pki/pem.ts';
import { opensslText } from './openssl.ts';

/** A request made by the real openssl, with the key options and extensions given. */
function request(key: readonly string[], ...more: readonly string[]): string {
  const subject = '/O=system:nodes/CN=system:node:edge-1';
  return opensslText([
    'req',
    ...['-new', '-newkey', ...key, '-nodes', '-keyout', '/dev/null'],
    ...['-subj', subject, ...more],
  ]);
}

const p256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const kubelet = {
  commonName: 'system:node:edge-1',
  organizations: ['system:nodes'],
  otherSubjectAttributes: [],
  isSignatureValid: true,
};

describe("openssl's requests", () => {
  it.each([
    ['P-256', p256, { keyType: 'ECDSA', keyBits: 256, curve: 'P-256' }],
    ['P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], { keyType: 'ECDSA', keyBits: 384 }],
    ['P-521', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'], { keyType: 'ECDSA', curve: 'P-521' }],
    ['RSA', ['rsa:2048'], { keyType: 'RSA', keyBits: 2048 }],
    ['Ed25519', ['ed25519'], { keyType: 'Ed25519', keyBits: 256 }],
  ])('%s key', (_name, key, expected) => {
    expect(parseCertificateRequest(request(key))).toMatchObject({ ...kubelet, ...expected });
  });

  it.each([
    ['secp256k1', ['ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], 'other'],
    ['Ed448', ['ed448'], 'other'],
    ['explicit curve', [...p256, '-pkeyopt', 'ec_param_enc:explicit'], 'other'],
  ])('%s key: of no use, and not verified', (_name, key, keyType) => {
    expect(parseCertificateRequest(request(key))).toMatchObject({
      keyType,
      keyBits: 0,
      isSignatureValid: false,
    });
  });

  it.each(['sha384', 'sha512'])('signed with %s', (digest) => {
    for (const key of [p256, ['rsa:2048']]) {
      expect(parseCertificateRequest(request(key, `-${digest}`)).isSignatureValid).toBe(true);
    }
  });

  it('signed with SHA-1: not valid', () => {
    expect(parseCertificateRequest(request(p256, '-sha1')).isSignatureValid).toBe(false);
  });

  it('names of all kinds', () => {
    const names = [
      'DNS:edge-1',
      'DNS:*.edge.example',
      'IP:192.0.2.7',
      'IP:2001:db8::7',
      'email:root@edge-1',
      'URI:spiffe://edge/1',
      'RID:1.2.3.4',
      'otherName:1.2.3.4;UTF8:hello',
    ];
    const pem = request(
      p256,
      ...['-addext', `subjectAltName=${names.join(',')}`],
      ...['-addext', 'keyUsage=critical,digitalSignature'],
      ...['-addext', 'extendedKeyUsage=serverAuth'],
    );
    expect(parseCertificateRequest(pem)).toEqual({
      ...kubelet,
      dnsNames: ['edge-1', '*.edge.example'],
      ipAddresses: ['192.0.2.7', '2001:db8::7'],
      emailAddresses: ['root@edge-1'],
      uris: ['spiffe://edge/1'],
      otherNameCount: 2,
      keyType: 'ECDSA',
      keyBits: 256,
      curve: 'P-256',
    });
  });

  it('a challenge password is no extension', () => {
    const pem = opensslText(
      ['req', '-new', '-newkey', ...p256, '-nodes', '-keyout', '/dev/null', '-config', '-'],
      [
        '[req]',
        'prompt = no',
        'distinguished_name = dn',
        'attributes = attrs',
        '[dn]',
        'CN = x',
        '[attrs]',
        'challengePassword = secret1',
        '',
      ].join('\n'),
    );
    expect(parseCertificateRequest(pem)).toMatchObject({ commonName: 'x', dnsNames: [] });
  });

  it('a subject with other attributes and UTF-8', () => {
    const pem = request(p256, '-utf8', '-subj', '/C=DE/O=a/O=b/emailAddress=x@y/CN=kühl');
    expect(parseCertificateRequest(pem)).toMatchObject({
      commonName: 'kühl',
      organizations: ['a', 'b'],
      otherSubjectAttributes: ['2.5.4.6', '1.2.840.113549.1.9.1'],
    });
  });

  it('two common names', () => {
    const pem = request(p256, '-subj', '/CN=system:node:a/CN=system:node:b');
    expect(() => parseCertificateRequest(pem)).toThrow('more than one common name');
  });

  it.each([
    ['P-256', p256],
    ['RSA', ['rsa:2048']],
    ['Ed25519', ['ed25519']],
  ])('tampered, with a %s key', (_name, key) => {
    const der = parseSinglePem('CERTIFICATE REQUEST', request(key)) ?? Buffer.of();
    const at = der.indexOf('edge-1');
    der.write('edge-2', at, 'latin1');
    const tampered = parseCertificateRequest(renderPem('CERTIFICATE REQUEST', der));
    expect(tampered).toMatchObject({ commonName: 'system:node:edge-2', isSignatureValid: false });
  });

  it('with the old label, or as DER: refused', () => {
    const pem = request(p256);
    for (const text of [
      pem.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'),
      (parseSinglePem('CERTIFICATE REQUEST', pem) ?? Buffer.of()).toString('latin1'),
    ]) {
      expect(() => parseCertificateRequest(text)).toThrow(CertificateRequestError);
    }
  });

  it('with 3000 names: refused for its size', () => {
    const names = Array.from({ length: 3000 }, (_, index) => `DNS:name-${index}`).join(',');
    const pem = request(p256, '-addext', `subjectAltName=${names}`);
    expect(() => parseCertificateRequest(pem)).toThrow('more than 32768 characters');
  });
});
