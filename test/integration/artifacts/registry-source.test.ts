import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { blobPath, hashBytes, partialPath } from '../../../src/artifacts/blobs.ts';
import {
  createRegistrySource,
  type RegistryEndpoint,
} from '../../../src/artifacts/registry-source.ts';
import { type ArtifactStore, findImage, verifyStore } from '../../../src/artifacts/store.ts';
import type { ArtifactEvent } from '../../../src/artifacts/types.ts';
import { dialTcp } from '../../../src/base/dial.ts';
import { systemClock } from '../../../src/base/time.ts';
import { pushImage, startDockerRegistry } from '../../support/docker-registry.ts';
import { startTokenServer } from '../../support/token-server.ts';
import {
  emptyStore,
  makeTar,
  neverAborted,
  storeState,
  temporaryFolder,
} from './bundle-fixture.ts';

const credentials = 'somebody:a secret';

describe('an image of several architectures', () => {
  test('comes for the one that is wanted, with every blob of it and none of the others', async () => {
    const { folder, layers, registry } = await prepare();
    const { take, store } = await taker(folder, { base: registry.base });
    const first = await take('registry.test/team/web:1.0', 'arm64');
    expect(first.events).toContainEqual(
      expect.objectContaining({ type: 'import-finished', blobs: 2 }),
    );
    const found = await findImage(store, 'registry.test/team/web:1.0', 'arm64');
    const layer = found?.blobs[2]?.digest ?? '';
    expect((await readFile(blobPath(store.directory, layer))).equals(layers.arm64)).toBe(true);
    expect(await verifyStore(store, neverAborted)).toEqual([]);
    expect(await storeState(store)).toEqual({ entries: 1, blobs: 3, temporary: 0 });
    expect(await findImage(store, 'registry.test/team/web:1.0', 'amd64')).toBeUndefined();
  });

  test('comes by the digest of its index too, and not under a wrong one', async () => {
    const { folder, digest, registry } = await prepare();
    const { take, store } = await taker(folder, { base: registry.base });
    await take(`registry.test/team/web@${digest}`, 'amd64');
    expect(await findImage(store, `registry.test/team/web@${digest}`, 'amd64')).toBeDefined();
    const wrong = `registry.test/team/web@sha256:${'0'.repeat(64)}`;
    await take(wrong, 'amd64');
    expect(await findImage(store, wrong, 'amd64')).toBeUndefined();
  });

  test('is refused where it is only there for another architecture', async () => {
    const { folder, layers, registry } = await prepare();
    const name = { repository: 'team/single', tag: '1', hasIndex: false };
    await pushImage(registry.base, name, [{ arch: 'amd64', layer: layers.amd64 }]);
    const { take, store } = await taker(folder, { base: registry.base });
    expect((await take('registry.test/team/single:1', 'arm64')).failures).toEqual([
      expect.stringContaining('it has this image for amd64, not for arm64'),
    ]);
    expect(await storeState(store)).toMatchObject({ entries: 0, blobs: 0 });
    expect((await take('registry.test/team/single:1', 'amd64')).failures).toEqual([]);
    expect(await findImage(store, 'registry.test/team/single:1', 'amd64')).toBeDefined();
  });

  test('that the registry does not have is no failure', async () => {
    const { folder, registry } = await prepare();
    const { take, store } = await taker(folder, { base: registry.base });
    expect((await take('registry.test/team/other:1', 'amd64')).failures).toEqual([]);
    expect(await storeState(store)).toMatchObject({ entries: 0, blobs: 0 });
  });

  test('goes on where a download was cut', async () => {
    const { folder, layers, registry } = await prepare();
    const { take, store, receivedBytes } = await taker(folder, { base: registry.base });
    const partial = partialPath(store.directory, hashBytes(layers.amd64).digest);
    await mkdir(path.dirname(partial), { recursive: true });
    await writeFile(partial, layers.amd64.subarray(0, 900_000));
    await take('registry.test/team/web:1.0', 'amd64');
    expect(await verifyStore(store, neverAborted)).toEqual([]);
    expect(await findImage(store, 'registry.test/team/web:1.0', 'amd64')).toBeDefined();
    expect(receivedBytes()).toBeGreaterThan(100_000);
    expect(receivedBytes()).toBeLessThan(200_000);
  });
});

describe('a registry with htpasswd and a CA of its own', () => {
  test('is read with credentials and that CA', async () => {
    const { folder, secured } = await prepareSecured();
    const { take, store } = await taker(folder, { base: secured.base, credentials }, secured.ca);
    expect((await take('registry.test/team/web:1.0', 'amd64')).failures).toEqual([]);
    expect(await findImage(store, 'registry.test/team/web:1.0', 'amd64')).toBeDefined();
  });

  test.each([undefined, 'somebody:else'])(
    'is not read as %s, and no secret is told',
    async (as) => {
      const { folder, secured } = await prepareSecured();
      const { take } = await taker(folder, { base: secured.base, credentials: as }, secured.ca);
      const { failures } = await take('registry.test/team/web:1.0', 'amd64');
      expect(failures).toEqual([expect.stringMatching(/: may not read it \(401\)$/)]);
      expect(failures.join()).not.toMatch(/else|secret/);
    },
  );

  test('is not told the credentials without its CA', async () => {
    const { folder, secured } = await prepareSecured();
    const { take } = await taker(folder, { base: secured.base, credentials });
    expect((await take('registry.test/team/web:1.0', 'amd64')).failures).toEqual([
      expect.stringMatching(/: not trusted \(/),
    ]);
  });
});

describe('a registry with a token server', () => {
  test('is read by whom the token server lets read, and by nobody else', async () => {
    const { folder, registry: open } = await prepare();
    await open.close();
    const readers = { [credentials]: ['team/web'], 'stranger:x': ['other/app'] };
    const token = await startTokenServer({ folder, readers });
    const registry = await startDockerRegistry({ folder, token });
    const { take, store } = await taker(folder, { base: registry.base, credentials });
    expect((await take('registry.test/team/web:1.0', 'amd64')).failures).toEqual([]);
    expect(await findImage(store, 'registry.test/team/web:1.0', 'amd64')).toBeDefined();
    // One token is enough for the manifests and all blobs.
    expect(token.asked).toEqual([`${credentials} repository:team/web:pull`]);

    for (const other of ['stranger:x', 'nobody:x', undefined]) {
      const parts = await taker(path.join(folder, `${other}`), {
        base: registry.base,
        credentials: other,
      });
      const { failures } = await parts.take('registry.test/team/web:1.0', 'amd64');
      expect(failures).toEqual([expect.stringMatching(/: may not read it \(401\)$/)]);
    }
  });

  test('is read by everybody where the token server lets everybody', async () => {
    const { folder, registry: open } = await prepare();
    await open.close();
    const token = await startTokenServer({ folder, readers: { '': ['team/web'] } });
    const registry = await startDockerRegistry({ folder, token });
    const { take } = await taker(folder, { base: registry.base });
    expect((await take('registry.test/team/web:1.0', 'amd64')).failures).toEqual([]);
  });
});

test('what a registry is told in confidence is not for the host that it leads to', async () => {
  const folder = await temporaryFolder();
  const seen: (string | undefined)[] = [];
  const elsewhere = await listen((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(404).end();
  });
  const registry = await listen((request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="test"' }).end();
    } else response.writeHead(307, { Location: `${elsewhere}/there` }).end();
  });
  const { take } = await taker(folder, { base: registry, credentials });
  await take('registry.test/team/web:1.0', 'amd64');
  expect(seen).toEqual([undefined]);
});

async function prepare() {
  const folder = await temporaryFolder();
  const registry = await startDockerRegistry({ folder });
  const layers = { amd64: makeLayer(), arm64: makeLayer() };
  const digest = await pushImage(registry.base, { repository: 'team/web', tag: '1.0' }, [
    { arch: 'amd64', layer: layers.amd64 },
    { arch: 'arm64', layer: layers.arm64 },
  ]);
  return { folder, layers, digest, registry };
}

async function prepareSecured() {
  const { folder, registry } = await prepare();
  await registry.close();
  const secured = await startDockerRegistry({ folder, credentials, usesTls: true });
  return { folder, secured };
}

function makeLayer(): Buffer {
  return makeTar([{ path: 'content', content: randomBytes(1_000_000) }]);
}

interface Taker {
  readonly store: ArtifactStore;
  take(
    reference: string,
    arch: 'amd64' | 'arm64',
  ): Promise<{ readonly events: readonly ArtifactEvent[]; readonly failures: readonly string[] }>;
  receivedBytes(): number;
}

async function taker(
  folder: string,
  endpoint: Pick<RegistryEndpoint, 'base' | 'credentials'>,
  authorities?: string,
): Promise<Taker> {
  const store = await emptyStore(folder);
  const events: ArtifactEvent[] = [];
  const sockets: Socket[] = [];
  const source = createRegistrySource({
    description: 'registries',
    endpointOf: () => ({ prefix: '', namesRegistry: false, ...endpoint }),
    pinOf: () => undefined,
    authorities,
    dial: async (address, signal) => {
      const socket = await dialTcp({ ...address, timeoutMs: 30_000 }, signal);
      sockets.push(socket);
      return socket;
    },
    words: {
      why: { denied: 'may not read it', untrusted: 'not trusted' },
      fix: { denied: '', untrusted: '', 'wrong-content': '', unreachable: '' },
    },
    ...{ store, clock: systemClock, random: Math.random },
    onEvent: (event) => events.push(event),
    timing: { stallMs: 30_000, firstPauseMs: 10, rounds: 2 },
  });
  return {
    store,
    take: async (reference, arch) => {
      events.length = 0;
      await source.provide([{ kind: 'image', reference, arch }], neverAborted);
      const failed = events.filter((event) => event.type === 'source-failed');
      return { events: [...events], failures: failed.map(({ why }) => why) };
    },
    receivedBytes: () => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0),
  };
}

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
