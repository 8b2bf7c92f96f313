import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import type { GatewayError } from '../../../src/join/gateway-error.ts';
import { removalError, writeRemoval } from '../../../src/node/membership.ts';
import { planWorker } from '../../../src/node/plan.ts';
import { keepDocument } from '../../../src/node/refresh-document.ts';
import { rigAuthority } from '../gateway/rig.ts';
import { tokenOf } from '../join/rig.ts';
import { createMembershipRig, type MembershipRig, removed } from './membership-rig.ts';

const dayMs = 86_400_000;
let rig: MembershipRig;

beforeEach(async () => {
  rig = await createMembershipRig();
});
afterEach(() => rig.stop());

async function refusal(act: Promise<unknown>): Promise<UserError> {
  const error: unknown = await act.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

/** A machine that joined some time ago and has its certificate. */
async function joined(nodeName = 'edge-1', madeAtMs?: number): Promise<void> {
  await rig.ensure({ joinToken: rig.token, nodeName });
  await rig.giveCertificate(nodeName, madeAtMs);
  rig.asked.length = 0;
}

describe('a machine that has not joined', () => {
  it('needs a token', async () => {
    const error = await refusal(rig.ensure());
    expect(error.message).toContain('has not joined a cluster yet');
    expect(await rig.files()).toEqual([]);
  });

  it('joins by its host name in lower case, and keeps the token for the kubelet alone', async () => {
    const member = await rig.ensure({ joinToken: rig.token });
    expect(rig.asked).toEqual(['nodes as edge-1']);
    expect(member.stored).toEqual({ nodeName: 'edge-1', document: rig.document });
    expect(await rig.files()).toEqual([
      'data/etc/kubelet-bootstrap.kubeconfig',
      'data/pki/ca.crt',
      'data/state/join.json',
      'data/state/node-name',
    ]);
    expect(await readFile(`${rig.machine.paths.dataDir}/state/join.json`, 'utf8')).not.toContain(
      rig.token.secret,
    );
    // Cut off before its certificate, it goes on by itself.
    expect((await rig.ensure()).credentials).toEqual({
      kind: 'token',
      token: `${rig.token.id}.${rig.token.secret}`,
    });
    expect(rig.asked).toHaveLength(1);
  });

  it('is as before when it is refused or cannot run what it is told; the next try works', async () => {
    rig.answer = () => removed;
    await refusal(rig.ensure({ joinToken: rig.token }));
    rig.answer = () => ({ status: 200, body: rig.document });
    const check = async () => {
      throw new UserError({ what: 'start kubelet', why: 'port 10250 is in use' });
    };
    expect((await refusal(rig.ensure({ joinToken: rig.token, check }))).what).toBe('start kubelet');
    expect(await rig.files()).toEqual([]);
    await rig.ensure({ joinToken: rig.token });
  });
});

describe('a member', () => {
  it('asks nobody when it has no token', async () => {
    await joined();
    await rig.gateway.running.stop();
    const { credentials } = await rig.ensure();
    expect(credentials.kind).toBe('certificate');
  });

  it('does not use a token that it does not need, or cannot ask about', async () => {
    await joined();
    expect((await rig.ensure({ joinToken: rig.token })).credentials.kind).toBe('certificate');
    expect(rig.asked).toEqual(['refresh as edge-1']);
    await rig.gateway.running.stop();
    expect((await rig.ensure({ joinToken: rig.token })).credentials.kind).toBe('certificate');
  });

  it.each([
    ['was removed', removed],
    [
      'is unknown, such as after a restore',
      { status: 403, body: { reason: 'NodeUnknown', message: 'm' } },
    ],
    [
      'has a certificate that nobody takes',
      { status: 401, body: { reason: 'CertificateMissing', message: 'm' } },
    ],
  ])('that %s joins again with the token, by the name it had', async (_why, answer) => {
    await joined('edge-7');
    rig.answer = (path) => (path === 'refresh' ? answer : { status: 200, body: rig.document });
    const { stored, credentials } = await rig.ensure({ joinToken: rig.token });
    expect(rig.asked).toEqual(['refresh as edge-7', 'nodes as edge-7']);
    expect([stored.nodeName, credentials.kind]).toEqual(['edge-7', 'token']);
    expect((await rig.files()).filter((file) => file.startsWith('kubelet/'))).toEqual([]);
  });

  it('whose certificate has expired joins again, without asking', async () => {
    await joined('edge-1', Date.now() - 30 * dayMs);
    await rig.ensure({ joinToken: rig.token });
    expect(rig.asked).toEqual(['nodes as edge-1']);
  });

  it('takes no other name, and no token of another cluster', async () => {
    await joined();
    expect((await refusal(rig.ensure({ nodeName: 'edge-2' }))).message).toBe(
      'Cannot start the node edge-2: this machine is the node edge-1 already',
    );
    const stranger = tokenOf(rigAuthority(), rig.token, [rig.gateway.port]);
    expect((await refusal(rig.ensure({ joinToken: stranger }))).message).toContain(
      'this machine is the node edge-1 of another cluster already',
    );
    expect(rig.asked).toEqual([]);
  });
});

describe('a node that was told that it is removed', () => {
  const { message: why, fix } = removed.body;

  beforeEach(async () => {
    await joined();
    await writeRemoval(rig.machine.paths, removalError({ why, fix }));
  });

  it('asks once more, and ends when that is still so', async () => {
    rig.answer = () => removed;
    expect(await refusal(rig.ensure())).toMatchObject({ why, fix });
    rig.answer = () => ({ status: 200, body: rig.document });
    await rig.ensure();
    await rig.ensure();
    expect(rig.asked).toEqual(['refresh as edge-1', 'refresh as edge-1']);
  });

  it('ends without a network too', async () => {
    await rig.gateway.running.stop();
    const error = await refusal(rig.ensure());
    expect(error.message).toContain(`${why}, and no controller says otherwise now (`);
    expect(error.fix).toBe(fix);
  });

  it('joins with a token', async () => {
    await rig.ensure({ joinToken: rig.token });
    await rig.giveCertificate('edge-1');
    await rig.ensure();
    expect(rig.asked).toEqual(['nodes as edge-1']);
  });
});

/** The loop of a worker that has joined, whose tunnel says what `session` says. */
async function startKeeping(session: { isConnected: boolean; looks: number }) {
  await joined();
  const { paths, host } = rig.machine;
  const config = await parseConfig('spec: { node: { name: edge-1 } }', 'test');
  const { document } = rig;
  const membership = { ca: document.ca, gateways: document.gateways, hasCertificate: true };
  const plan = planWorker({ config, host, paths, apiServers: document.apiServers, membership });
  const told: GatewayError[] = [];
  const status = () => {
    session.looks += 1;
    const { isConnected } = session;
    const link = { address: 'x', isConnected, streams: 0, bytesSent: 0, bytesReceived: 0 };
    return { controllers: [{ ...link, reconnects: 0 }], acceptedStreams: 0, refusedStreams: 0 };
  };
  const loop = await keepDocument({
    node: { paths, plan },
    document,
    agent: {
      name: 'x',
      dependsOn: [],
      start: () => Promise.reject(new Error('unused')),
      metrics: () => [],
      setControllers() {},
      status,
    },
    proxy: undefined,
    version: '0.1.0',
    clock: systemClock,
    logger: silentLogger,
    onRemoved: (error) => told.push(error),
  }).start(new AbortController().signal);
  onTestFinished(() => loop.stop());
  return told;
}

async function until(subject: string, probe: () => boolean): Promise<void> {
  await waitFor(probe, { subject, timeoutMs: 60_000, describe: () => rig.asked.join() });
}

it('a worker that has lost all its sessions asks why, and hears that it was removed', async () => {
  const session = { isConnected: true, looks: 0 };
  const told = await startKeeping(session);
  await until('the first request', () => rig.asked.length === 1);
  rig.answer = () => removed;
  session.looks = 0;
  await until('it to see its session', () => session.looks > 1);
  session.isConnected = false;
  await until('it to be told', () => told.length > 0);
  expect(rig.asked).toEqual(['refresh as edge-1', 'refresh as edge-1']);
  expect(told[0]).toMatchObject({ reason: 'NodeRemoved', why: removed.body.message });
});

it('a worker that was removed before it saw its first session hears of it as soon', async () => {
  const told = await startKeeping({ isConnected: false, looks: 0 });
  await until('the first request', () => rig.asked.length === 1);
  rig.answer = () => removed;
  await until('it to be told', () => told.length > 0);
  expect(rig.asked).toEqual(['refresh as edge-1', 'refresh as edge-1']);
});
