import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import {
  type Authority,
  buildAuthorityCertificate,
  buildLeafCertificate,
} from '../../src/pki/certificate-builder.ts';

export interface ServerNames {
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** A CA in memory that issues server certificates, valid now. */
export interface TestAuthority {
  /** PEM. */
  readonly ca: string;
  issueServer(names: ServerNames): { readonly cert: string; readonly key: string };
}

export function createTestAuthority(commonName = 'test-ca'): TestAuthority {
  const privateKey = newKey();
  const ca = buildAuthorityCertificate({
    commonName,
    ttlDays: 10,
    privateKey,
    nowMs: Date.now(),
  });
  const authority: Authority = { certificate: new X509Certificate(ca), privateKey };
  return { ca, issueServer: (names) => issueServer(authority, names) };
}

function issueServer(authority: Authority, names: ServerNames): { cert: string; key: string } {
  const key = newKey();
  const cert = buildLeafCertificate({
    subject: {
      commonName: 'test-server',
      organizations: [],
      usage: 'server',
      dnsNames: names.dnsNames ?? [],
      ipAddresses: names.ipAddresses ?? [],
      ttlDays: 2,
    },
    publicKey: createPublicKey(key),
    authority,
    nowMs: Date.now(),
  });
  return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

function newKey() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}
