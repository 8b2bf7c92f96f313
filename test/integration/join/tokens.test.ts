import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import type { OutputStream } from '../../../src/cli/streams.ts';
import {
  createBootstrapToken,
  listBootstrapTokens,
  revokeBootstrapToken,
} from '../../../src/join/bootstrap-tokens.ts';
import { parseJoinToken } from '../../../src/join/token.ts';
import { rememberToken } from '../../../src/join/token-ledger.ts';
import type { JoinRole } from '../../../src/join/types.ts';
import type { KubeClient, KubeObject } from '../../../src/kube-client/types.ts';
import { spkiPin } from '../../../src/pki/certificate-reader.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { configMaps, secrets } from '../../support/core-objects.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const namespace = 'kube-system';

let plane: TestControlPlane;
let client: KubeClient;
/** What a controller's data directory has that the command reads. */
let dataDir: string;

beforeAll(async () => {
  plane = await startControlPlane();
  client = plane.connect();
  dataDir = path.join(plane.directory, 'data');
  await mkdir(path.join(dataDir, 'pki'), { recursive: true });
  await mkdir(path.join(dataDir, 'etc'));
  await copyFile(plane.caFile, path.join(dataDir, 'pki/ca.crt'));
  await copyFile(plane.admin.certFile, path.join(dataDir, 'pki/mini-k8s-client.crt'));
  await copyFile(plane.admin.keyFile, path.join(dataDir, 'pki/mini-k8s-client.key'));
  await writeFile(
    path.join(dataDir, 'etc/mini-k8s.kubeconfig'),
    `clusters:\n- cluster:\n    server: "${plane.server}"\n`,
  );
  await writeFile(path.join(dataDir, 'etc/gateway.json'), '{"servers": ["192.0.2.10:9443"]}');
});
afterAll(async () => {
  await plane?.stop();
});

function makeToken(options: { role?: JoinRole; nowMs?: number } = {}) {
  const { role = 'worker', nowMs = Date.now() } = options;
  return createBootstrapToken(client, { role, ttlMs: hourMs, nowMs, description: 'a test' });
}

describe('a bootstrap token', () => {
  it('is a bearer token that the API server takes, until it is revoked', async () => {
    const { id, secret } = await makeToken();
    const token = `${id}.${secret}`;
    const bearer = plane.connect({ token });
    const review = await bearer.create<KubeObject & { status: { userInfo: unknown } }>({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'SelfSubjectReview',
      metadata: { name: '' },
    });
    expect(review.status.userInfo).toMatchObject({
      username: `system:bootstrap:${id}`,
      groups: expect.arrayContaining(['system:bootstrappers:mini-k8s:worker']),
    });
    const idsOf = async () => (await listBootstrapTokens(client)).map((listed) => listed.id);
    expect(await idsOf()).toContain(id);
    expect(await revokeBootstrapToken(client, id, Date.now())).toBe(true);
    expect(await revokeBootstrapToken(client, id, Date.now())).toBe(false);
    expect(await idsOf()).not.toContain(id);
  });

  it('has a label and an annotation with its role and age, and expires in whole seconds', async () => {
    const nowMs = Date.parse('2030-01-01T00:00:00.5Z');
    const { id, expiresAt } = await makeToken({ role: 'controller', nowMs });
    const name = `bootstrap-token-${id}`;
    const secret = await client.get({ resource: secrets, name, namespace });
    expect(secret?.metadata.labels).toMatchObject({ 'mini-k8s.io/token-role': 'controller' });
    expect(secret?.metadata.annotations).toMatchObject({
      'mini-k8s.io/created-at': '2030-01-01T00:00:00Z',
    });
    expect(expiresAt).toBe('2030-01-01T01:00:00Z');
  });

  it.each(['abc', 'ABC123', '../x', ''])('is not revoked by the id %j', async (id) => {
    const revoking = revokeBootstrapToken(client, id, Date.now());
    await expect(revoking).rejects.toThrow('Cannot revoke the token');
  });

  it('leaves its secret in no object but its own', async () => {
    const { id, secret } = await makeToken();
    const maps = JSON.stringify(await client.list(configMaps, { namespace }));
    expect(maps).toContain(id);
    expect(maps).not.toContain(secret);
  });

  it('is forgotten a month after its end, and damage to what is remembered hurts nobody', async () => {
    const entry = { role: 'worker', secretHash: 'x' } as const;
    const at = (ms: number) => new Date(ms).toISOString();
    const nowMs = Date.now();
    await rememberToken(
      client,
      { ...entry, id: 'olderr', expiresAt: at(nowMs - 31 * dayMs) },
      nowMs,
    );
    await rememberToken(
      client,
      { ...entry, id: 'recent', expiresAt: at(nowMs - 29 * dayMs) },
      nowMs,
    );
    const ref = { resource: configMaps, name: 'mini-k8s-tokens', namespace };
    await client.patch(ref, { data: { broken: '{', strange: '7' } }, { type: 'merge' });
    await rememberToken(client, { ...entry, id: 'newest', expiresAt: at(nowMs) }, nowMs);
    const ledger = await client.get<KubeObject & { data: Record<string, string> }>(ref);
    const ids = Object.keys(ledger?.data ?? {});
    expect(ids).toEqual(expect.arrayContaining(['recent', 'newest']));
    expect(ids).not.toEqual(expect.arrayContaining(['olderr']));
    expect(ids).not.toContain('broken');
  });
});

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function command(args: readonly string[], isTTY = false): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr'): OutputStream => ({
    isTTY,
    write: (text) => {
      written[name] += text;
    },
  });
  const exitCode = await run(args, {
    env: {},
    stdout: stream('stdout'),
    stderr: stream('stderr'),
  });
  return { exitCode, ...written };
}

const create = (...args: string[]) => command(['token', 'create', '--data-dir', dataDir, ...args]);

describe('mini-k8s token', () => {
  it('prints the token alone, with the address of the gateway and the pin of the CA', async () => {
    const { exitCode, stdout, stderr } = await create();
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^mk1\.w\.\S+\n$/);
    const token = parseJoinToken(stdout);
    expect(token.servers).toEqual(['192.0.2.10:9443']);
    const pin = spkiPin(await readFile(plane.caFile, 'utf8'));
    expect(Buffer.from(token.caPin, 'base64url').toString('hex')).toBe(pin);
    const [listed] = (await listBootstrapTokens(client)).filter(({ id }) => id === token.id);
    const leftMs = Date.parse(listed?.expiresAt ?? '') - Date.now();
    expect(leftMs).toBeGreaterThan(hourMs - 30_000);
    expect(leftMs).toBeLessThanOrEqual(hourMs);
  });

  it('says on a terminal what to type on the other machine, and stdout stays the token', async () => {
    const args = ['token', 'create', '--data-dir', dataDir, '--ttl', '7d'];
    const { stdout, stderr } = await command(args, true);
    expect(stdout).toMatch(/^mk1\.w\.\S+\n$/);
    expect(stderr).toContain('It expires in 7d.');
    expect(stderr).toContain(`mini-k8s worker --token ${stdout.trim()}`);
  });

  it('takes role, life, description and servers', async () => {
    const servers = ['--server', 'edge.example.com', '192.0.2.11:19443,192.0.2.12'];
    const options = ['--role', 'controller', '--ttl', '30m', '--description', 'rack 12'];
    const token = parseJoinToken((await create(...options, ...servers)).stdout);
    expect(token).toMatchObject({
      role: 'controller',
      servers: ['edge.example.com:9443', '192.0.2.11:19443', '192.0.2.12:9443'],
    });
    const { stdout } = await command(['token', 'list', '--data-dir', dataDir]);
    expect(stdout.split('\n')[0]).toMatch(/^ID +ROLE +EXPIRES IN +DESCRIPTION$/);
    expect(stdout).toMatch(new RegExp(`^${token.id} +controller +(29m \\d+s|30m) +rack 12$`, 'm'));
    expect(stdout).not.toContain(token.secret);
    const json = await command(['token', 'list', '-o', 'json', '--data-dir', dataDir]);
    expect(JSON.parse(json.stdout)).toContainEqual(
      expect.objectContaining({ id: token.id, role: 'controller', description: 'rack 12' }),
    );
    expect(json.stdout).not.toContain(token.secret);
  });

  it('revokes by id', async () => {
    const { id } = parseJoinToken((await create()).stdout);
    const revoke = ['token', 'revoke', id, '--data-dir', dataDir];
    expect(await command(revoke)).toEqual({ exitCode: 0, stdout: `revoked ${id}\n`, stderr: '' });
    const again = await command(revoke);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain('there is none by this id');
  });

  it.each([
    [['--ttl', '1y'], 'it is not a duration such as 30m'],
    [['--ttl', '60d'], 'it is longer than 30 days'],
    [['--role', 'admin'], '"admin" is neither worker nor controller'],
    [['--server', 'https://x'], '"https://x" is not <host> or <host>:<port>'],
    [['--description', 'a\nb'], 'its description is not one line'],
  ])('refuses %j and makes nothing', async (args, why) => {
    const before = (await listBootstrapTokens(client)).length;
    const { exitCode, stdout, stderr } = await create(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toContain(why);
    expect(stderr).toContain('fix:');
    expect(await listBootstrapTokens(client)).toHaveLength(before);
  });

  it('says that this machine is no controller', async () => {
    const elsewhere = path.join(plane.directory, 'elsewhere');
    const { exitCode, stderr } = await command(['token', 'list', '--data-dir', elsewhere]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`there is no control plane in ${elsewhere}`);
  });

  it('says that the API does not answer', async () => {
    await plane.stopApiServer();
    try {
      const { exitCode, stderr } = await create();
      expect(exitCode).toBe(1);
      expect(stderr).toContain('the API of this controller does not answer (ECONNREFUSED)');
    } finally {
      await plane.startApiServer();
    }
  });

  it('says that the controller is of an older version, which did not write its address', async () => {
    await rm(path.join(dataDir, 'etc/gateway.json'));
    expect((await create()).stderr).toContain('gateway.json is missing');
    expect((await create('--server', '192.0.2.10')).exitCode).toBe(0);
  });
});
