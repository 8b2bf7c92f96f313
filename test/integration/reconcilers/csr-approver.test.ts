import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { runCsrApprover } from '../../../src/reconcilers/csr-approver.ts';
import type { JoinFacts } from '../../../src/reconcilers/decide-client-csr.ts';
import { type CsrObject, csrResource, nodeResource } from '../../../src/reconcilers/resources.ts';
import type { TestControlPlane } from '../../support/control-plane.ts';
import { quickest } from '../../support/quickest.ts';
import { startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
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
  twin: ['192.168.1.7'],
  'other-twin': ['192.168.1.7'],
};
const joined = new Map<string, JoinFacts>();
const workers = 'system:bootstrappers:mini-k8s:worker';
/** A machine joined by the name, with the token, just now unless told otherwise. */
function join(nodeName: string, tokenId: string, change: Partial<JoinFacts> = {}): void {
  joined.set(nodeName, { tokenId, joinedAtMs: Date.now(), isRemoved: false, ...change });
}

beforeAll(async () => {
  // Without NodeRestriction, which knows some of these rules: the approver is to know all of them by itself.
  cluster = await startCluster([]);
  ({ controlPlane, admin } = cluster);
  kubelet = await cluster.kubelet('edge-1');
  await createNode('edge-1', '10.9.0.4');
  approver = runCsrApprover(
    {
      client: admin,
      logger: silentLogger,
      clock: systemClock,
      localNodeName: 'edge-1',
      controllerNames: () => ['edge-1'],
      joinRecord: async (nodeName) => joined.get(nodeName),
      allowedAddresses: async (nodeName) => knownAddresses[nodeName],
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
  await cluster?.stop();
});

describe('a kubelet of the cluster', () => {
  const good = { san: 'DNS:edge-1,IP:10.9.0.4' };

  it('gets its serving certificate approved within a second', async () => {
    await answerOf(await ask(kubelet, good));
    // Each of another node: one alone may ask ten times.
    const approvalMs = async () => {
      const node = `quick-${serial}`;
      const address = `10.9.1.${serial}`;
      knownAddresses[node] = [address];
      await createNode(node, address);
      const subject = `/O=system:nodes/CN=system:node:${node}`;
      const san = `DNS:${node},IP:${address}`;
      const name = await ask(await cluster.kubelet(node), { subject, san });
      const started = performance.now();
      expect(await answerOf(name)).toEqual({ type: 'Approved', reason: 'NodeServingCertificate' });
      return performance.now() - started;
    };
    expect(await quickest(approvalMs, 1_000)).toBeLessThan(1_000);
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
    const late = await cluster.kubelet('late');
    const request = { subject: '/O=system:nodes/CN=system:node:late', san: 'DNS:late,IP:10.9.0.5' };
    const name = await ask(late, request);
    await answerOf(await ask(kubelet, { san: 'DNS:edge-2' }));
    expect((await read(name)).status?.conditions).toBeUndefined();
    await createNode('late', '10.9.0.5');
    expect(await answerOf(name)).toMatchObject({ type: 'Approved' });
  });

  it("is denied a controller's address when it is not the controller's own node", async () => {
    const moved = await cluster.kubelet('moved');
    await createNode('moved', '10.9.0.4');
    const subject = '/O=system:nodes/CN=system:node:moved';
    const name = await ask(moved, { subject, san: 'DNS:moved,IP:10.9.0.4' });
    expect(await answerOf(name)).toEqual({ type: 'Denied', reason: 'ForeignAddress' });
  });

  it("is approved with another worker's address, when it is its own too", async () => {
    for (const name of ['twin', 'other-twin']) {
      await createNode(name, '192.168.1.7');
      const subject = `/O=system:nodes/CN=system:node:${name}`;
      const san = `DNS:${name},IP:192.168.1.7`;
      const csr = await ask(await cluster.kubelet(name), { subject, san });
      expect(await answerOf(csr)).toMatchObject({ type: 'Approved' });
    }
  });

  it('is denied a name that is reserved', async () => {
    const name = 'gateway.mini-k8s.internal';
    const subject = `/O=system:nodes/CN=system:node:${name}`;
    const csr = await ask(await cluster.kubelet(name), { subject, san: `DNS:${name}` });
    expect(await answerOf(csr)).toEqual({ type: 'Denied', reason: 'ReservedName' });
  });

  it('is approved again after the API server was away', async () => {
    await controlPlane.stopApiServer();
    await controlPlane.startApiServer();
    expect(await answerOf(await ask(kubelet, good))).toMatchObject({ type: 'Approved' });
  });
});

describe("a worker's first client certificate", () => {
  let worker: KubeClient;
  const first = (name: string): Ask => ({
    subject: `/O=system:nodes/CN=system:node:${name}`,
    signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
    usages: ['digital signature', 'client auth'],
  });

  beforeAll(async () => {
    worker = await cluster.bearer('abcdef', workers);
    join('edge-7', 'abcdef');
    join('edge-8', 'uvwxyz');
    join('edge-1', 'abcdef');
  });

  it('is approved for the name by which its token let it in, before there is a Node', async () => {
    const name = await ask(worker, first('edge-7'));
    expect(await answerOf(name)).toEqual({ type: 'Approved', reason: 'NodeJoined' });
  });

  it.each<[string, Partial<Ask>]>([
    ['SubjectMismatch', { subject: '/O=system:masters/CN=system:node:edge-7' }],
    ['SubjectMismatch', { subject: '/O=system:nodes/O=system:masters/CN=system:node:edge-7' }],
    ['SubjectMismatch', { subject: '/O=system:nodes/CN=kubernetes-admin' }],
    ['SubjectMismatch', { subject: '/O=system:nodes/CN=system:node:192.168.1.7' }],
    ['ControllerName', { subject: '/O=system:nodes/CN=system:node:edge-1' }],
    ['ReservedName', { subject: '/O=system:nodes/CN=system:node:gateway.mini-k8s.internal' }],
    ['InvalidNames', { san: 'DNS:edge-7' }],
    ['InvalidNames', { san: 'IP:10.9.0.7' }],
    ['InvalidUsages', { usages: ['client auth', 'server auth'] }],
    ['WeakKey', { key: 'rsa:1024' }],
    ['LifetimeTooLong', { expirationSeconds: 368 * 86_400 }],
  ])('is denied with reason %s: %j', async (reason, change) => {
    const name = await ask(worker, { ...first('edge-7'), ...change });
    expect(await answerOf(name)).toEqual({ type: 'Denied', reason });
  });

  it('stays pending for a name by which nobody joined, until somebody does', async () => {
    const name = await ask(worker, first('edge-9'));
    await answerOf(await ask(worker, first('edge-1')));
    expect((await read(name)).status?.conditions).toBeUndefined();
    join('edge-9', 'abcdef');
    expect(await answerOf(name)).toMatchObject({ type: 'Approved' });
  });

  it.each<[string, Partial<JoinFacts>]>([
    ['was removed', { isRemoved: true }],
    ['joined long ago', { joinedAtMs: Date.now() - 25 * 3_600_000 }],
  ])('stays pending for a node that %s', async (_why, change) => {
    join('edge-10', 'abcdef', change);
    const name = await ask(worker, first('edge-10'));
    await answerOf(await ask(worker, first('edge-1')));
    expect((await read(name)).status?.conditions).toBeUndefined();
  });

  it('is not given for a name that joined with another token: the request goes away', async () => {
    const name = await ask(worker, first('edge-8'));
    await waitFor(async () => (await admin.get({ resource: csrResource, name })) === undefined, {
      subject: 'the request to go',
      timeoutMs: 60_000,
    });
  });

  it("is not given for a controller's token", async () => {
    const other = await cluster.bearer('ghijkl', 'system:bootstrappers:mini-k8s:controller');
    await expect(ask(other, first('edge-7'))).rejects.toThrow('forbidden');
  });

  it('is renewed for itself, not for others, and not once the node was removed', async () => {
    join('edge-12', 'abcdef', { joinedAtMs: 0 });
    await createNode('edge-12', '10.9.0.12');
    const node = await cluster.kubelet('edge-12');
    const renewed = await ask(node, first('edge-12'));
    expect(await answerOf(renewed)).toEqual({ type: 'Approved', reason: 'NodeClientCertificate' });
    const stolen = await ask(node, first('edge-7'));
    expect(await answerOf(stolen)).toEqual({ type: 'Denied', reason: 'SubjectMismatch' });
    join('edge-12', 'abcdef', { isRemoved: true });
    const refused = await ask(node, first('edge-12'));
    await answerOf(await ask(node, first('edge-7')));
    expect((await read(refused)).status?.conditions).toBeUndefined();
  });

  it("is renewed for the controller's own kubelet", async () => {
    const name = await ask(kubelet, first('edge-1'));
    expect(await answerOf(name)).toMatchObject({ type: 'Approved' });
  });

  it('is rate-limited for each node', async () => {
    join('greedy', 'abcdef');
    const names: string[] = [];
    for (let i = 0; i < 11; i += 1) names.push(await ask(worker, first('greedy')));
    await answerOf(await ask(worker, first('edge-1')));
    const answers = await Promise.all(names.map(async (name) => (await read(name)).status));
    expect(answers.filter((status) => status?.conditions !== undefined)).toHaveLength(10);
  });
});

interface Ask {
  readonly san?: string;
  readonly signerName?: string;
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
      ...(options.san === undefined ? [] : ['-addext', `subjectAltName=${options.san}`]),
      ...['-keyout', `${file}.key`],
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
      signerName: options.signerName ?? 'kubernetes.io/kubelet-serving',
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
    timeoutMs: 60_000,
    intervalMs: 10,
  });
  return { type: condition.type, reason: condition.reason };
}

async function createNode(name: string, address: string): Promise<void> {
  await admin.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  const status = { addresses: [{ type: 'InternalIP', address }] };
  const options = { type: 'merge', subresource: 'status' } as const;
  await admin.patch({ resource: nodeResource, name }, { status }, options);
}
