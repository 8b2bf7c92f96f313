import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { gatewayServerName } from '../../src/base/gateway-names.ts';
import {
  type Authority,
  buildAuthorityCertificate,
  buildLeafCertificate,
  type LeafSubject,
} from '../../src/pki/certificate-builder.ts';

export const dayMs = 86_400_000;

/** Certificate and key as PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** A CA in memory that issues whatever a test asks for. */
export interface RigAuthority {
  readonly pem: string;
  readonly keyPem: string;
  issue(subject: Partial<LeafSubject>, madeAtMs?: number): Pair;
  /** The client certificate of a kubelet. */
  node(name: string, madeAtMs?: number): Pair;
  /** The gateway's, with the CA at its end. */
  gateway(subject?: Partial<LeafSubject>, madeAtMs?: number): Pair;
}

export function rigAuthority(madeAtMs = Date.now()): RigAuthority {
  const privateKey = newKey();
  const pem = buildAuthorityCertificate({
    commonName: 'mini-k8s-ca',
    ttlDays: 3650,
    privateKey,
    nowMs: madeAtMs,
  });
  const authority: Authority = { certificate: new X509Certificate(pem), privateKey };
  const issue: RigAuthority['issue'] = (subject, atMs = Date.now()) => {
    const key = newKey();
    const cert = buildLeafCertificate({
      subject: {
        commonName: 'nobody',
        organizations: [],
        usage: 'client',
        dnsNames: [],
        ipAddresses: [],
        ttlDays: 2,
        ...subject,
      },
      publicKey: createPublicKey(key),
      authority,
      nowMs: atMs,
    });
    return { cert, key: toPem(key) };
  };
  return {
    pem,
    keyPem: toPem(privateKey),
    issue,
    node: (name, atMs) =>
      issue({ commonName: `system:node:${name}`, organizations: ['system:nodes'] }, atMs),
    gateway: (subject, atMs) => {
      const names = { usage: 'server', dnsNames: [gatewayServerName] } as const;
      const { cert, key } = issue({ commonName: 'mini-k8s-gateway', ...names, ...subject }, atMs);
      return { cert: cert + pem, key };
    },
  };
}

function newKey() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function toPem(key: ReturnType<typeof newKey>): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
