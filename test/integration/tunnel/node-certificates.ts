import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { gatewayServerName } from '../../../src/base/gateway-names.ts';
import {
  type Authority,
  buildAuthorityCertificate,
  buildLeafCertificate,
} from '../../../src/pki/certificate-builder.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** A cluster's CA with what a gateway and its agents need. One key for all: a thousand agents are made in a second. */
export interface TestCluster {
  readonly ca: string;
  readonly gateway: { readonly cert: string; readonly key: string };
  /** Certificate and key in one PEM, as the kubelet writes them; valid for `validMs`, one day unless given. */
  issueNode(nodeName: string, validMs?: number): string;
  /** The gateway's certificate as PEM, made by a clock that says `nowMs`. */
  issueGateway(nowMs: number): string;
}

export function createTestCluster(): TestCluster {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = createPublicKey(privateKey);
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const ca = buildAuthorityCertificate({
    commonName: 'kubernetes-ca',
    ttlDays: 10,
    privateKey,
    nowMs: Date.now() - 2 * dayMs,
  });
  const authority: Authority = { certificate: new X509Certificate(ca), privateKey };
  const issue = ({
    nowMs,
    ...subject
  }: {
    commonName: string;
    organizations: string[];
    usage: 'server' | 'client';
    dnsNames: string[];
    nowMs: number;
  }) =>
    buildLeafCertificate({
      subject: { ...subject, ipAddresses: [], ttlDays: 1 },
      ...{ publicKey, authority },
      nowMs,
    });
  const issueGateway = (nowMs: number) =>
    issue({
      commonName: 'gateway',
      organizations: [],
      usage: 'server',
      dnsNames: [gatewayServerName],
      nowMs,
    });
  return {
    ca,
    gateway: {
      key,
      cert: issueGateway(Date.now()),
    },
    issueGateway,
    issueNode: (nodeName, validMs = dayMs) =>
      key +
      issue({
        commonName: `system:node:${nodeName}`,
        organizations: ['system:nodes'],
        usage: 'client',
        dnsNames: [],
        nowMs: Date.now() - dayMs + validMs,
      }),
  };
}
