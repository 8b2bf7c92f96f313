import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBootstrapToken, revokeBootstrapToken } from '../../../src/join/bootstrap-tokens.ts';
import { createTokenCheck } from '../../../src/join/check-token.ts';
import type { GatewayError } from '../../../src/join/gateway-error.ts';
import { joinCluster, previewJoin, refreshDocument } from '../../../src/join/join-client.ts';
import { createJoinRecords, recordName } from '../../../src/join/join-records.ts';
import { createJoinRoute, type JoinRouteOptions } from '../../../src/join/join-server.ts';
import type { JoinRequest, JoinRole } from '../../../src/join/types.ts';
import type { KubeClient } from '../../../src/kube-client/types.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { configMaps, secrets } from '../../support/core-objects.ts';
import { type GatewayRig, type Pair, rigAuthority, startGateway } from '../gateway/rig.ts';
import { clientOptions, documentOf, machine, otherMachine, signal, tokenOf } from './rig.ts';

const hourMs = 3_600_000;

let plane: TestControlPlane;
let client: KubeClient;
const authority = rigAuthority();

beforeAll(async () => {
  plane = await startControlPlane();
  client = plane.connect();
});
afterAll(async () => {
  await plane?.stop();
});

/** A token with its secret; secrets are remembered so that every log can be searched for them. */
const knownSecrets: string[] = [];
async function makeToken(options: { role?: JoinRole; ttlMs?: number; nowMs?: number } = {}) {
  const { role = 'worker', ttlMs = hourMs, nowMs = Date.now() } = options;
  const token = await createBootstrapToken(client, { role, ttlMs, nowMs, description: 'a test' });
  knownSecrets.push(token.secret);
  return token;
}

describe('joining through a gateway', () => {
  let rig: GatewayRig;
  let nowMs: number | undefined;
  const alive = new Set<string>();
  const admitted: string[] = [];
  const clock = { now: () => nowMs ?? Date.now() };
  const records = () => createJoinRecords(client);

  beforeEach(async () => {
    nowMs = undefined;
    alive.clear();
    admitted.length = 0;
    const described: JoinRouteOptions['describeDocument'] = (_request, site) =>
      documentOf(authority, site);
    rig = await startGateway({
      authority,
      makeRoutes: (logger) => [
        createJoinRoute({
          tokens: createTokenCheck({ client, clock }),
          records: records(),
          isAlive: (name) => alive.has(name),
          describeDocument: described,
          onAdmitted: (name, site) => admitted.push(`${name} ${site.name}`),
          logger,
          clock,
        }),
      ],
    });
  });
  afterEach(async () => {
    const text = rig.log.join('');
    for (const secret of knownSecrets) expect(text).not.toContain(secret);
    await rig.stop();
    for (const name of ['edge-1', 'edge-2']) {
      await client.delete({
        resource: configMaps,
        name: recordName(name),
        namespace: 'kube-system',
      });
    }
  });

  function join(token: { id: string; secret: string }, request: JoinRequest = machine) {
    return joinCluster(tokenOf(authority, token, [rig.port]), request, clientOptions, signal);
  }
  function refresh(request: JoinRequest, pair: Pair) {
    const gateways = [`127.0.0.1:${rig.port}`];
    return refreshDocument(
      { gateways, ca: authority.pem, ...pair },
      request,
      clientOptions,
      signal,
    );
  }
  async function refusalOf(act: Promise<unknown>): Promise<GatewayError> {
    const error: unknown = await act.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ name: 'GatewayError' });
    const { message, fix, stack } = error as GatewayError;
    for (const secret of knownSecrets) expect(`${message} ${fix} ${stack}`).not.toContain(secret);
    return error as GatewayError;
  }

  it('gives the document, and remembers the machine', async () => {
    const token = await makeToken();
    const { document, server } = await join(token);
    expect(server).toBe(`127.0.0.1:${rig.port}`);
    expect(document).toEqual(documentOf(authority, { name: 'main', isBehindNat: false }));
    const record = await records().get('edge-1');
    expect(record).toMatchObject({
      machineId: machine.machineId,
      tokenId: token.id,
      addresses: machine.addresses,
    });
    expect(rig.log.join('')).toContain(
      `joined as node edge-1 with token ${token.id} from 127.0.0.1, site main`,
    );
  });

  it('tells a machine what it would be, and remembers nothing of it', async () => {
    const token = await makeToken();
    const preview = (request: JoinRequest) =>
      previewJoin(tokenOf(authority, token, [rig.port]), request, clientOptions, signal);
    const { document } = await preview(machine);
    expect(document).toEqual(documentOf(authority, { name: 'main', isBehindNat: false }));
    expect(await records().get('edge-1')).toBeUndefined();
    expect(admitted).toEqual([]);
    expect(rig.log.join('')).toContain(`asked what it would be as edge-1 with token ${token.id}`);
    await join(token);
    const before = await records().get('edge-1');
    alive.add('edge-1');
    expect(await refusalOf(preview(otherMachine))).toMatchObject({
      reason: 'NameTaken',
      what: `plan a join through 127.0.0.1:${rig.port}`,
    });
    expect(await records().get('edge-1')).toEqual(before);
    const wrong = { id: token.id, secret: 'x'.repeat(16) };
    const refused = previewJoin(
      tokenOf(authority, wrong, [rig.port]),
      machine,
      clientOptions,
      signal,
    );
    expect(await refusalOf(refused)).toMatchObject({ reason: 'TokenUnknown' });
  });

  it('believes where a machine is only once it was let in', async () => {
    const token = await makeToken();
    await join(token);
    expect(admitted).toEqual(['edge-1 main']);
    await refusalOf(join(token, { ...otherMachine, addresses: ['192.168.1.7'] }));
    expect(admitted).toEqual(['edge-1 main']);
    await refresh(machine, authority.node('edge-1'));
    expect(admitted).toEqual(['edge-1 main', 'edge-1 main']);
  });

  it('sees a machine behind an address translation', async () => {
    const { document } = await join(await makeToken(), { ...machine, addresses: ['192.168.1.7'] });
    expect(document.site).toEqual({ name: 'nat-127.0.0.1', isBehindNat: true });
  });

  it('refuses each bad token with its own words', async () => {
    const role = await refusalOf(join(await makeToken({ role: 'controller' })));
    expect(role).toMatchObject({
      reason: 'TokenWrongRole',
      why: expect.stringContaining('is for a controller, not for a worker'),
    });
    expect(role.fix).toContain('--role worker');

    const revoked = await makeToken();
    await revokeBootstrapToken(client, revoked.id, Date.now());
    expect(await refusalOf(join(revoked))).toMatchObject({
      reason: 'TokenRevoked',
      why: expect.stringMatching(/was revoked at 20/),
    });

    const past = await makeToken();
    nowMs = Date.now() + 2 * hourMs;
    const expired = {
      reason: 'TokenExpired',
      why: expect.stringContaining(`expired at ${past.expiresAt}`),
    };
    expect(await refusalOf(join(past))).toMatchObject(expired);
    // kube-controller-manager removes it at that time.
    await client.delete({
      resource: secrets,
      name: `bootstrap-token-${past.id}`,
      namespace: 'kube-system',
    });
    expect(await refusalOf(join(past))).toMatchObject(expired);
    nowMs = undefined;

    const unknown = {
      reason: 'TokenUnknown',
      why: expect.stringContaining('of another cluster, or was deleted'),
    };
    const wrong = { ...(await makeToken()), secret: 'x'.repeat(16) };
    expect(await refusalOf(join(wrong))).toMatchObject(unknown);
    expect(await refusalOf(join({ ...revoked, secret: 'x'.repeat(16) }))).toMatchObject(unknown);
    expect(await refusalOf(join({ id: 'zzzzzz', secret: 'x'.repeat(16) }))).toMatchObject(unknown);
    expect(await records().get('edge-1')).toBeUndefined();
  });

  it('slows down who guesses, and not who has the right token', async () => {
    const right = await makeToken();
    const wrong = { id: right.id, secret: 'y'.repeat(16) };
    const other = await makeToken();
    const reasons: unknown[] = [];
    for (let count = 0; count < 12; count += 1) reasons.push((await refusalOf(join(wrong))).reason);
    expect(reasons.slice(0, 10)).toEqual(Array(10).fill('TokenUnknown'));
    expect(reasons.slice(10)).toEqual(['TooManyFailures', 'TooManyFailures']);
    await join(other);
    nowMs = Date.now() + 61_000;
    await join(right);
  });

  it('refuses a second machine while the first is alive, at every point', async () => {
    const token = await makeToken();
    await join(token);
    const rival = await refusalOf(join(token, otherMachine));
    expect(rival).toMatchObject({ reason: 'NameTaken', failure: 'refused' });
    for (const { machineId } of [machine, otherMachine]) expect(rival.why).toContain(machineId);
    nowMs = Date.now() + 10 * 60_000;
    alive.add('edge-1');
    expect((await refusalOf(join(token, otherMachine))).why).toContain('is alive');
    alive.clear();
    await join(token, otherMachine);
    expect((await records().get('edge-1'))?.machineId).toBe(otherMachine.machineId);
    const late = await refusalOf(refresh(machine, authority.node('edge-1')));
    expect(late.reason).toBe('NameTaken');
  });

  it('lets one of two in that come in the same moment', async () => {
    const token = await makeToken();
    const outcomes = await Promise.allSettled([join(token), join(token, otherMachine)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('refuses the name of a controller', async () => {
    alive.add('edge-1');
    expect(await refusalOf(join(await makeToken()))).toMatchObject({ reason: 'NameTaken' });
  });

  it('tells a member what has changed, by its certificate alone', async () => {
    await join(await makeToken());
    const pair = authority.node('edge-1');
    const moved = { ...machine, addresses: ['10.0.0.9'] };
    const { document } = await refresh(moved, pair);
    expect(document.site.name).toBe('nat-127.0.0.1');
    expect(await records().get('edge-1')).toMatchObject({ addresses: ['10.0.0.9'] });
    const before = await client.get({
      resource: configMaps,
      name: recordName('edge-1'),
      namespace: 'kube-system',
    });
    await refresh(moved, pair);
    const after = await client.get({
      resource: configMaps,
      name: recordName('edge-1'),
      namespace: 'kube-system',
    });
    expect(after?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
  });

  it('refuses a refresh without the certificate of that very node', async () => {
    await join(await makeToken());
    const day = 24 * hourMs;
    const expired = authority.node('edge-1', Date.now() - 3 * day);
    expect(await refusalOf(refresh(machine, expired))).toMatchObject({
      reason: 'CertificateMissing',
    });
    const foreign = rigAuthority().node('edge-1');
    expect(await refusalOf(refresh(machine, foreign))).toMatchObject({
      reason: 'CertificateMissing',
    });
    const operator = authority.issue({ commonName: 'admin', organizations: ['system:masters'] });
    expect(await refusalOf(refresh(machine, operator))).toMatchObject({
      reason: 'CertificateMissing',
    });
    const neighbour = await refusalOf(refresh(machine, authority.node('edge-2')));
    expect(neighbour.why).toBe('the certificate is of node edge-2, and the request of edge-1');
    const other = { ...machine, nodeName: 'edge-2' };
    expect(await refusalOf(refresh(other, authority.node('edge-2')))).toMatchObject({
      reason: 'NodeUnknown',
    });
  });

  it('refuses a node that was removed until it has a fresh token', async () => {
    await join(await makeToken());
    await records().markRemoved('edge-1', Date.now());
    await records().markRemoved('edge-2', Date.now());
    const listed = await records().list();
    expect(
      listed
        .map(({ nodeName, removedAt }) => [nodeName, removedAt !== undefined] as const)
        .toSorted(([a], [b]) => a.localeCompare(b)),
    ).toEqual([
      ['edge-1', true],
      ['edge-2', true],
    ]);
    const labelled = await client.list(configMaps, {
      namespace: 'kube-system',
      labelSelector: 'mini-k8s.io/removed=true',
    });
    expect(labelled.items.map(({ metadata }) => metadata.name).toSorted()).toEqual([
      'mini-k8s-node-edge-1',
      'mini-k8s-node-edge-2',
    ]);
    const pair = authority.node('edge-1');
    expect(await refusalOf(refresh(machine, pair))).toMatchObject({ reason: 'NodeRemoved' });
    alive.add('edge-1');
    await join(await makeToken(), otherMachine);
    expect(await records().get('edge-1')).not.toHaveProperty('removedAt');
    await refresh(otherMachine, pair);
  });

  it('says in the log when two machines use one identity', async () => {
    await join(await makeToken());
    const pair = authority.node('edge-1');
    const clone = { ...machine, bootId: otherMachine.bootId };
    await refresh(clone, pair);
    expect(rig.log.join('')).not.toContain('two machines');
    await refresh(machine, pair);
    expect(rig.log.join('')).toContain('ERROR two machines use the identity of node edge-1');
  });

  describe('with a client that is not ours', () => {
    async function say(request: string): Promise<string> {
      const socket = await rig.connect();
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      const end = new Promise((resolve) => socket.once('close', resolve));
      socket.write(request);
      await end;
      return Buffer.concat(chunks).toString();
    }
    const post = (token: { id: string; secret: string }, body: string, headers = '') =>
      say(
        `POST /join/v1/nodes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token.id}.${token.secret}\r\n${headers}` +
          `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );

    it('answers what is wrong with its request', async () => {
      const token = await makeToken();
      expect(await post(token, 'x')).toMatch(/^HTTP\/1\.1 400 .*the body is not JSON/s);
      expect(await post(token, '{}')).toMatch(/^HTTP\/1\.1 400 .*nodeName is missing/s);
      const reserved = { ...machine, nodeName: 'a.mini-k8s.internal' };
      expect(await post(token, JSON.stringify(reserved))).toMatch(
        /400 .*ends with \.mini-k8s\.internal/s,
      );
      const headers = 'Host: x\r\nConnection: close\r\n\r\n';
      expect(await say(`GET /join/v1/nodes HTTP/1.1\r\n${headers}`)).toMatch(/^HTTP\/1\.1 405 /);
      expect(await say(`POST /join/v1/other HTTP/1.1\r\n${headers}`)).toMatch(/^HTTP\/1\.1 404 /);
      expect(await say(`POST /join/v1/nodes HTTP/1.1\r\n${headers}`)).toMatch(
        /^HTTP\/1\.1 401 .*TokenMissing/s,
      );
      for (const bearer of ['x', 'a.b', `${token.id}.${token.secret}x`, '../../x.y', 'Basic x']) {
        const odd = `POST /join/v1/nodes HTTP/1.1\r\nAuthorization: Bearer ${bearer}\r\n${headers}`;
        expect(await say(odd)).toMatch(/^HTTP\/1\.1 401 /);
      }
    });

    it('reads no body that is too long, and none of somebody without a token', async () => {
      const token = await makeToken();
      const long = 'a'.repeat(20_000);
      expect(await post(token, long)).toMatch(/^HTTP\/1\.1 413 /);
      const chunked =
        `POST /join/v1/nodes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token.id}.${token.secret}\r\n` +
        `Transfer-Encoding: chunked\r\n\r\n4e20\r\n${long}\r\n`;
      expect(await say(chunked)).toMatch(/^HTTP\/1\.1 413 /);
      expect(await post({ id: 'zzzzzz', secret: 'x'.repeat(16) }, long)).toMatch(
        /^HTTP\/1\.1 401 /,
      );
    });
  });

  it('says that the API is away, and that it is worth another try', async () => {
    const token = await makeToken();
    await plane.stopApiServer();
    try {
      const error = await refusalOf(join(token));
      expect(error).toMatchObject({ failure: 'not-ready', reason: 'NotReady' });
      expect(error.why).toBe('the API of the cluster does not answer its controller');
    } finally {
      await plane.startApiServer();
    }
    await join(token);
  });
});
