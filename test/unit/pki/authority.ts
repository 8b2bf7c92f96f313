import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import {
  type Authority,
  buildAuthorityCertificate,
  buildLeafCertificate,
} from '../../../src/pki/certificate-builder.ts';
import type { CertificateSpec } from '../../../src/pki/types.ts';

export const dayMs = 24 * 60 * 60 * 1000;
export const nowMs = Date.parse('2026-11-21T09:00:00Z');

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

export function newAuthority(commonName = 'kubernetes-ca', madeAtMs = nowMs): Authority {
  const privateKey = newKey();
  const pem = buildAuthorityCertificate({ commonName, ttlDays: 3650, privateKey, nowMs: madeAtMs });
  return { certificate: new X509Certificate(pem), privateKey };
}

export const serverSpec: CertificateSpec = {
  name: 'kube-apiserver',
  authority: 'ca',
  commonName: 'kube-apiserver',
  organizations: [],
  usage: 'server',
  dnsNames: ['kubernetes', 'kubernetes.default.svc.cluster.local', '*.edge.example'],
  ipAddresses: ['10.96.0.1', '127.0.0.1', 'fd00::1'],
  certFile: '/pki/kube-apiserver.crt',
  keyFile: '/pki/kube-apiserver.key',
  ttlDays: 365,
};

export function issueLeaf(
  authority: Authority,
  spec: CertificateSpec = serverSpec,
  madeAtMs = nowMs,
): { certPem: string; keyPem: string } {
  const key = newKey();
  return {
    certPem: buildLeafCertificate({
      subject: spec,
      publicKey: createPublicKey(key),
      authority,
      nowMs: madeAtMs,
    }),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
