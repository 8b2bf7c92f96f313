import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import { createKubeClient } from '../../../src/kube-client/client.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { runCsrApprover } from '../../../src/reconcilers/csr-approver.ts';
import { type CsrObject, csrResource, nodeResource } from '../../../src/reconcilers/resources.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';

let controlPlane: TestControlPlane;
let admin: KubeClient;
/** Talks as the kubelet of edge-1. */
let kubelet: KubeClient;
const abort = new AbortController();
let approver: Promise<void>;
let serial = 0;
const knownAddresses: Record<string, readonly string[]> = {
  'edge-1': ['10.9.0.4'],
  late: ['10.9.0.5'],
  moved: ['10.9.0.6', '10.9.0.60'],
};

beforeAll(async () => {
  controlPlane = await startControlPlane();
  const { server, caFile, adminToken } = controlPlane;
  admin = createKubeClient({ server, caFile, token: adminToken });
  kubelet = await clientOf('edge-1');
  await createNode('edge-1', '10.9.0.4');
  approver = runCsrApprover(
    {
      client: admin,
      logger: silentLogger,
      clock: systemClock,
      localNodeName: 'edge-1',
      allowedAddresses: (nodeName) => knownAddresses[nodeName],
      controllerAddresses: () => ['10.9.0.4'],
      podCIDR: '10.244.0.0/16',
      serviceCIDR: '10.96.0.0/16',
    },
    abort.signal,
  );
});

afterAll(async () => {
  abort.abort();
  await approver;
  kubelet?.close();
  admin?.close();
  await controlPlane?.stop();
});

describe('a kubelet of the cluster', () => {
  const good = { san: 'DNS:edge-1,IP:10.9.0.4' };

  it('gets its serving certificate approved within a second', async () => {
    await answerOf(await ask(kubelet, good));
    const name = await ask(kubelet, good);
    const started = performance.now();
    expect(await answerOf(name)).toEqual({ type: 'Approved', reason: 'NodeServingCertificate' });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it.each<[string, Partial<Ask>]>([
    ['SubjectMismatch', { subject: '/O=system:nodes/CN=system:node:edge-2' }],
    ['SubjectMismatch', { subject: '/O=system:nodes/O=system:masters/CN=system:node:edge-1' }],
    ['ForeignName', { san: 'DNS:edge-1,DNS:kubernetes.default.svc' }],
    ['ForeignName', { san: 'DNS:*.edge-1' }],
    ['ForeignAddress', { san: 'DNS:edge-1,IP:127.0.0.1' }],
    ['ForeignAddress', { san: 'DNS:edge-1,IP:10.244.0.9' }],
    ['ForeignAddress', { san: 'DNS:edge-1,IP:10.96.0.1' }],
    ['InvalidNames', { san: 'DNS:edge-1,URI:spiffe://x' }],
    ['InvalidNames', { san: 'DNS:edge-1,email:a@b.c' }],
    ['WeakKey', { key: 'rsa:1024' }],
    ['InvalidUsages', { usages: ['digital signature', 'client auth'] }],
    ['LifetimeTooLong', { expirationSeconds: 368 * 86_400 }],
  ])('is denied with reason %s: %j', async (reason, change) => {
    const name = await ask(kubelet, { ...good, ...change });
    expect(await answerOf(name)).toEqual({ type: 'Denied', reason });
  });

  it('stays pending with an address that nobody knows', async () => {
    const name = await ask(kubelet, { san: 'DNS:edge-1,IP:10.9.0.99' });
    // A later request is answered, so this one was seen and left.
    await answerOf(await ask(kubelet, { san: 'DNS:edge-2' }));
    expect((await read(name)).status?.conditions).toBeUndefined();
  });

  it('stays pending when somebody else asks, even an administrator', async () => {
    const name = await ask(admin, good);
    await answerOf(await ask(kubelet, { san: 'DNS:edge-2' }));
    expect((await read(name)).status?.conditions).toBeUndefined();
  });

  it('is approved as soon as its Node is there', async () => {
    const late = await clientOf('late');
    const request = { subject: '/O=system:nodes/CN=system:node:late', san: 'DNS:late,IP:10.9.0.5' };
    const name = await ask(late, request);
    late.close();
    await answerOf(await ask(kubelet, { san: 'DNS:edge-2' }));
    expect((await read(name)).status?.conditions).toBeUndefined();
    await createNode('late', '10.9.0.5');
    expect(await answerOf(name)).toMatchObject({ type: 'Approved' });
  });

  it("is denied a controller's address when it is not the controller's own node", async () => {
    const moved = await clientOf('moved');
    await createNode('moved', '10.9.0.4');
    const subject = '/O=system:nodes/CN=system:node:moved';
    const name = await ask(moved, { subject, san: 'DNS:moved,IP:10.9.0.4' });
    moved.close();
    expect(await answerOf(name)).toEqual({ type: 'Denied', reason: 'ForeignAddress' });
  });

  it('is approved again after the API server was away', async () => {
    await controlPlane.stopApiServer();
    await controlPlane.startApiServer();
    expect(await answerOf(await ask(kubelet, good))).toMatchObject({ type: 'Approved' });
  });
});

interface Ask {
  readonly san: string;
  readonly subject?: string;
  readonly key?: string;
  readonly usages?: readonly string[];
  readonly expirationSeconds?: number;
}

async function ask(client: KubeClient, options: Ask): Promise<string> {
  serial += 1;
  const file = path.join(controlPlane.directory, `request-${serial}`);
  const key = options.key ?? 'ec:P-256';
  const keyArgs = key.startsWith('ec:')
    ? ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${key.slice(3)}`]
    : ['-newkey', key];
  const subject = options.subject ?? '/O=system:nodes/CN=system:node:edge-1';
  execFileSync(
    'openssl',
    [
      ...['req', '-new', ...keyArgs, '-nodes', '-subj', subject],
      ...['-addext', `subjectAltName=${options.san}`, '-keyout', `${file}.key`],
      ...['-out', `${file}.csr`],
    ],
    { stdio: 'ignore' },
  );
  const pem = await readFile(`${file}.csr`);
  const created = await client.create<CsrObject>({
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: `csr-${serial}` },
    spec: {
      request: pem.toString('base64'),
      signerName: 'kubernetes.io/kubelet-serving',
      usages: options.usages ?? ['digital signature', 'server auth'],
      ...(options.expirationSeconds === undefined
        ? {}
        : { expirationSeconds: options.expirationSeconds }),
    },
  });
  return created.metadata.name;
}

async function read(name: string): Promise<CsrObject> {
  const csr = await admin.get<CsrObject>({ resource: csrResource, name });
  if (csr === undefined) throw new Error(`${name} is gone`);
  return csr;
}

async function answerOf(name: string): Promise<{ type: string; reason: string | undefined }> {
  const condition = await waitFor(async () => (await read(name)).status?.conditions?.[0], {
    subject: `an answer to ${name}`,
    timeoutMs: 15_000,
    intervalMs: 10,
  });
  return { type: condition.type, reason: condition.reason };
}

async function clientOf(nodeName: string): Promise<KubeClient> {
  const files = await controlPlane.clientCertificate(`system:node:${nodeName}`, ['system:nodes']);
  return createKubeClient({ server: controlPlane.server, caFile: controlPlane.caFile, ...files });
}

async function createNode(name: string, address: string): Promise<void> {
  await admin.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const status = { addresses: [{ type: 'InternalIP', address }] };
  const options = { type: 'merge', subresource: 'status' } as const;
  await admin.patch({ resource: nodeResource, name }, { status }, options);
}
