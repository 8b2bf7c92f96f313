import { randomBytes } from 'node:crypto';
import { truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { blobPath, hashBytes } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { listOffered } from '../../../src/artifacts/registry-offer.ts';
import { type ArtifactStore, findComponent, findImage } from '../../../src/artifacts/store.ts';
import type { Architecture } from '../../../src/artifacts/types.ts';
import { emptyStore, makeTar, neverAborted, temporaryFolder } from './bundle-fixture.ts';
import { errorCodes, get } from './registry-client.ts';
import {
  createRegistryAuthority,
  type RegistryAuthority,
  type RunningRegistry,
  startRegistry,
} from './registry-fixture.ts';

const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
};

let authority: RegistryAuthority;
let folder = '';
let store: ArtifactStore;

beforeAll(() => {
  authority = createRegistryAuthority();
});

beforeEach(async () => {
  folder = await temporaryFolder();
  store = await emptyStore(folder);
  await fillStore();
});

describe('the API', () => {
  test('greets who may read, and nobody else', async () => {
    const { port } = await start();
    expect(await get(port, '/v2/')).toMatchObject({ status: 200, text: '{}' });
    const refused = await get(port, '/v2/', { headers: { authorization: 'Bearer abcdef.wrong' } });
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBe('mini-k8s');
    expect(errorCodes(refused)).toEqual(['UNAUTHORIZED']);
    expect((await get(port, '/v2/', { headers: { authorization: '' } })).status).toBe(401);
  });

  test('knows only reading', async () => {
    const { port } = await start();
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
      const answer = await get(port, '/v2/tool/blobs/uploads/', { method });
      expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, 'GET, HEAD']);
    }
  });

  test('refuses garbage with the errors that clients know', async () => {
    const { port } = await start();
    const answers = await Promise.all(
      [
        '/v2/../../../../etc/passwd',
        '/v2/x/blobs/sha256:..%2f..%2f..%2findex.json',
        '/v2/x/blobs/sha256:0',
        '/v2/..%2f..%2fx/manifests/v1',
        `/v2/x/blobs/sha256:${'0'.repeat(64)}`,
        '/v2/x/manifests/v1',
        '/v2/x/tags/list',
      ].map((target) => get(port, target)),
    );
    expect(answers.map(errorCodes)).toEqual([
      ['UNSUPPORTED'],
      ['UNSUPPORTED'],
      ['DIGEST_INVALID'],
      ['NAME_INVALID'],
      ['BLOB_UNKNOWN'],
      ['MANIFEST_UNKNOWN'],
      ['NAME_UNKNOWN'],
    ]);
    expect(answers.every(({ status }) => status >= 400 && status < 500)).toBe(true);
  });

  test('lists the versions of a component', async () => {
    const { port } = await start();
    const { text } = await get(port, '/v2/mini-k8s/tool/tags/list');
    expect(JSON.parse(text)).toEqual({ name: 'mini-k8s/tool', tags: ['1.0.0-amd64'] });
  });
});

describe('a manifest', () => {
  test('of a component is found by version and architecture, and by its digest', async () => {
    const { port } = await start();
    const byTag = await get(port, '/v2/mini-k8s/tool/manifests/1.0.0-amd64');
    expect(byTag.headers).toMatchObject({
      'content-type': mediaTypes.manifest,
      'docker-content-digest': hashBytes(byTag.body).digest,
      'mini-k8s-built-from': 'upstream',
    });
    const digest = byTag.headers['docker-content-digest'];
    const byDigest = await get(port, `/v2/mini-k8s/tool/manifests/${digest}`);
    expect(byDigest.text).toBe(byTag.text);
    const head = await get(port, `/v2/mini-k8s/tool/manifests/${digest}`, { method: 'HEAD' });
    expect(head.body.length).toBe(0);
    expect(head.headers['content-length']).toBe(String(byTag.body.length));
    expect((await get(port, `/v2/mini-k8s/other/manifests/${digest}`)).status).toBe(404);
  });

  test.each([
    ['with the registry that containerd names', '?ns=registry.example.test'],
    ['without it', ''],
  ])('of an image is found by its name %s', async (_name, query) => {
    const { port } = await start();
    const answer = await get(port, `/v2/deep/one/manifests/v1${query}`);
    expect(answer.status).toBe(200);
    const image = await findImage(store, 'registry.example.test/deep/one:v1', 'amd64');
    expect(hashBytes(answer.body).digest).toBe(image?.entry.digest);
  });

  test('of an image of another registry is not taken for it', async () => {
    const { port } = await start();
    expect((await get(port, '/v2/deep/one/manifests/v1?ns=docker.io')).status).toBe(404);
    expect((await get(port, '/v2/deep/one/manifests/v2?ns=registry.example.test')).status).toBe(
      404,
    );
  });

  test('that several registries have is given only when one of them is named', async () => {
    await addImages([['other.example.test/deep/one:v1', 'amd64', 'another one']]);
    const { port } = await start();
    const ambiguous = await get(port, '/v2/deep/one/manifests/v1');
    expect(ambiguous.status).toBe(404);
    expect(ambiguous.text).toContain('registry.example.test');
    expect((await get(port, '/v2/deep/one/manifests/v1?ns=other.example.test')).status).toBe(200);
  });

  test('of an image whose layer is gone is not offered: containerd asks elsewhere', async () => {
    const { port } = await start();
    const image = await findImage(store, 'registry.example.test/deep/one:v1', 'amd64');
    await truncate(blobPath(store.directory, image?.blobs.at(-1)?.digest ?? ''), 1);
    expect((await get(port, '/v2/deep/one/manifests/v1')).status).toBe(404);
  });

  test('appears as soon as it was imported', async () => {
    const { port } = await start();
    expect((await get(port, '/v2/late/manifests/v1')).status).toBe(404);
    await addImages([['registry.example.test/late:v1', 'amd64', 'late']]);
    expect((await get(port, '/v2/late/manifests/v1')).status).toBe(200);
  });
});

describe('an image for two architectures', () => {
  beforeEach(async () => {
    await addImages([['registry.example.test/deep/one:v1', 'arm64', 'for arm']]);
  });

  test('is an index that leads to both, and has one digest', async () => {
    const { port } = await start();
    const answer = await get(port, '/v2/deep/one/manifests/v1');
    expect(answer.headers['content-type']).toBe(mediaTypes.index);
    const digest = String(answer.headers['docker-content-digest']);
    expect(digest).toBe(hashBytes(answer.body).digest);
    expect((await get(port, `/v2/deep/one/manifests/${digest}`)).text).toBe(answer.text);
    const { manifests } = JSON.parse(answer.text) as { manifests: Entry[] };
    expect(manifests.map(({ platform }) => platform.architecture).sort()).toEqual([
      'amd64',
      'arm64',
    ]);
    for (const entry of manifests) {
      const manifest = await get(port, `/v2/deep/one/manifests/${entry.digest}`);
      expect(manifest.headers['content-type']).toBe(entry.mediaType);
    }
  });

  test('is the manifest of its architecture to a client that takes no index and names one', async () => {
    const { port } = await start();
    const only = { accept: mediaTypes.manifest };
    expect((await get(port, '/v2/deep/one/manifests/v1', { headers: only })).status).toBe(404);
    const headers = { ...only, 'mini-k8s-architecture': 'arm64' };
    const answer = await get(port, '/v2/deep/one/manifests/v1', { headers });
    const image = await findImage(store, 'registry.example.test/deep/one:v1', 'arm64');
    expect(answer.headers['docker-content-digest']).toBe(image?.entry.digest);
  });

  test('is not there for a third', async () => {
    const { port } = await start();
    const headers = { 'mini-k8s-architecture': 'riscv64' };
    expect((await get(port, '/v2/deep/one/manifests/v1', { headers })).status).toBe(404);
  });

  interface Entry {
    readonly digest: string;
    readonly mediaType: string;
    readonly platform: { readonly architecture: string };
  }
});

test('an image for another architecture only is not there for a client that names its own', async () => {
  const { port } = await start();
  const headers = { 'mini-k8s-architecture': 'arm64' };
  expect((await get(port, '/v2/deep/one/manifests/v1', { headers })).status).toBe(404);
});

test('what a worker is offered are the manifests of its architecture, complete ones only', async () => {
  await addImages([
    ['registry.example.test/deep/one:v1', 'arm64', 'for arm'],
    ['registry.example.test/broken:v1', 'amd64', 'broken'],
  ]);
  const broken = await findImage(store, 'registry.example.test/broken:v1', 'amd64');
  await truncate(blobPath(store.directory, broken?.blobs.at(-1)?.digest ?? ''), 0);
  const image = await findImage(store, 'registry.example.test/deep/one:v1', 'amd64');
  const component = await findComponent(store, { name: 'tool', version: '1.0.0', arch: 'amd64' });
  expect(await listOffered(store, 'amd64')).toEqual([
    {
      name: 'registry.example.test/deep/one:v1',
      repository: 'deep/one',
      digest: image?.entry.digest,
    },
    { name: 'tool 1.0.0', repository: 'mini-k8s/tool', digest: component?.entry.digest },
  ]);
});

async function start(): Promise<RunningRegistry> {
  return await startRegistry({ store, authority });
}

async function fillStore(): Promise<void> {
  const file = path.join(folder, 'large');
  await writeFile(file, 'large');
  const directory = path.join(folder, 'first');
  const writer = await createLayoutWriter(directory);
  await writer.addComponent({
    ...{ name: 'tool', version: '1.0.0', arch: 'amd64', builtFrom: 'upstream' },
    executables: [{ name: 'large', file }],
  });
  await importAll(directory, (await writer.finish()).indexSha256);
  await addImages([['registry.example.test/deep/one:v1', 'amd64', 'one']]);
}

async function addImages(images: readonly [string, Architecture, string][]): Promise<void> {
  const directory = path.join(folder, randomBytes(4).toString('hex'));
  const writer = await createLayoutWriter(directory);
  for (const [reference, arch, text] of images) {
    const tar = makeTar([{ path: 'hello', content: Buffer.from(text) }]);
    const layer = await writer.addBlob(tar);
    await writer.addImage({ reference, arch, layers: [{ blob: layer }], config: {} });
  }
  await importAll(directory, (await writer.finish()).indexSha256);
}

async function importAll(directory: string, trustBundle: string): Promise<void> {
  const quiet = { onEvent: () => {}, signal: neverAborted };
  await importBundle({ path: directory, store, trustBundle, ...quiet });
}
