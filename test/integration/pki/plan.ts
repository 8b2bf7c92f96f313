import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Clock } from '../../../src/base/time.ts';
import type { CertificateSpec, KeyPairSpec, PkiPlan } from '../../../src/pki/types.ts';

export const dayMs = 24 * 60 * 60 * 1000;
export const startMs = Date.parse('2026-11-21T09:00:00Z');

export function clockAt(epochMs: number): Clock {
  return { now: () => epochMs };
}

/** A directory that is gone when the test is over, whatever its outcome. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'pki-test-'));
  return {
    path: directory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Two authorities, three leaves (one with a chain, one with an owner), a key pair and a secret. */
export function planIn(directory: string) {
  const pair = (name: string) => ({
    certFile: path.join(directory, `${name}.crt`),
    keyFile: path.join(directory, `${name}.key`),
  });
  return {
    authorities: [
      { name: 'ca', commonName: 'kubernetes-ca', ttlDays: 3650, ...pair('ca') },
      { name: 'etcd', commonName: 'etcd-ca', ttlDays: 3650, ...pair('etcd/ca') },
    ],
    certificates: [
      {
        name: 'kube-apiserver',
        authority: 'ca',
        commonName: 'kube-apiserver',
        organizations: [],
        usage: 'server',
        dnsNames: ['kubernetes', 'localhost'],
        ipAddresses: ['127.0.0.1', '::1', '10.96.0.1'],
        includeAuthority: true,
        ttlDays: 365,
        ...pair('kube-apiserver'),
      },
      {
        name: 'admin',
        authority: 'ca',
        commonName: 'kubernetes-admin',
        organizations: ['system:masters'],
        usage: 'client',
        dnsNames: [],
        ipAddresses: [],
        ttlDays: 365,
        ...pair('admin'),
      },
      {
        name: 'etcd-server',
        authority: 'etcd',
        commonName: 'etcd',
        organizations: [],
        usage: 'server',
        dnsNames: ['localhost'],
        ipAddresses: ['127.0.0.1'],
        ttlDays: 365,
        uid: 1234,
        gid: 1235,
        ...pair('etcd/server'),
      },
    ],
    keyPairs: [
      {
        name: 'service-account',
        privateKeyFile: path.join(directory, 'sa.key'),
        publicKeyFile: path.join(directory, 'sa.pub'),
      },
    ],
    secrets: [{ name: 'encryption', file: path.join(directory, 'encryption.secret'), bytes: 32 }],
  } as const satisfies PkiPlan;
}

export interface FileFacts {
  readonly content: string;
  readonly mode: string;
  readonly owner: string;
  /** Changes with every write, chmod and chown. */
  readonly version: string;
}

/** Every file below a directory by its relative path. */
export async function snapshot(directory: string): Promise<Record<string, FileFacts>> {
  const facts: Record<string, FileFacts> = {};
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const file = path.join(entry.parentPath, entry.name);
    const { ino, ctimeNs, mode, uid, gid } = await stat(file, { bigint: true });
    facts[path.relative(directory, file)] = {
      content: await readFile(file, 'utf8'),
      mode: (mode & 0o7777n).toString(8),
      owner: `${uid}:${gid}`,
      version: `${ino}@${ctimeNs}`,
    };
  }
  return facts;
}

/** What is wrong with the files of a plan; empty when every pair fits and is signed by its authority. */
export async function inconsistencies(plan: PkiPlan): Promise<string[]> {
  const checks = [
    ...[...plan.authorities, ...plan.certificates].map(checkPair),
    ...plan.certificates.map((leaf) => {
      const issuer = plan.authorities.find(({ name }) => name === leaf.authority);
      return checkChain(leaf, issuer?.certFile ?? '');
    }),
    ...plan.keyPairs.map(checkPublicKey),
  ];
  return (await Promise.all(checks)).flat();
}

async function checkPair(spec: { certFile: string; keyFile: string }): Promise<string[]> {
  const certificate = new X509Certificate(await readFile(spec.certFile));
  const key = createPrivateKey(await readFile(spec.keyFile));
  return certificate.checkPrivateKey(key) ? [] : [`${spec.keyFile} is of another certificate`];
}

async function checkChain(leaf: CertificateSpec, issuerFile: string): Promise<string[]> {
  const issuer = new X509Certificate(await readFile(issuerFile));
  const pem = await readFile(leaf.certFile, 'utf8');
  const isSigned = new X509Certificate(pem).verify(issuer.publicKey);
  const isChain = pem.endsWith(issuer.toString()) === (leaf.includeAuthority === true);
  return isSigned && isChain ? [] : [`${leaf.certFile} is not of its authority`];
}

async function checkPublicKey(spec: KeyPairSpec): Promise<string[]> {
  const derived = createPublicKey(await readFile(spec.privateKeyFile));
  const isSame = derived.equals(createPublicKey(await readFile(spec.publicKeyFile)));
  return isSame ? [] : [`${spec.publicKeyFile} is of another key`];
}
