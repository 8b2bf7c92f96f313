import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { writeLayer } from '../../../scripts/components/tar-layer.ts';
import type { BuiltLayer } from '../../../scripts/conformance-suite/provide-layer.ts';
import { imageConfig } from '../../../scripts/conformance-suite/suite-images.ts';
import {
  type SuiteBundleContent,
  type SuiteImageContent,
  writeSuiteBundle,
} from '../../../scripts/conformance-suite/write-suite-bundle.ts';
import { blobPath, hashFile } from '../../../src/artifacts/blobs.ts';
import { importRiders } from '../../../src/artifacts/import-riders.ts';
import { riderImages } from '../../../src/artifacts/riders.ts';
import { findImage } from '../../../src/artifacts/store.ts';
import type { OciIndex, OciManifest } from '../../../src/artifacts/types.ts';
import {
  emptyStore,
  makeBundle,
  neverAborted,
  temporaryFolder,
} from '../artifacts/bundle-fixture.ts';

const tests = 'registry.k8s.io/e2e-test-images';

test('a node that is given the bundle has an image for each of its references, of the same layers too', async () => {
  const fixture = await makeFixture();
  const bundle = path.join(fixture.folder, 'bundle');
  const trustBundle = await writeSuiteBundle(fixture.content, bundle);
  const store = await emptyStore(fixture.folder);
  const index = await readIndex(bundle);
  const options = { path: bundle, index, store, trustBundle, onEvent: () => {} };
  await importRiders({ ...options, ridersFor: 'amd64' }, neverAborted);

  const images = await riderImages(store, 'amd64');
  const names = images.map(({ reference }) => reference).sort();
  expect(names).toEqual(['example.test/hello:1', `${tests}/web:1`, `${tests}/web:2`]);
  const [first, second] = await Promise.all(
    ['web:1', 'web:2'].map((name) => findImage(store, `${tests}/${name}`, 'amd64')),
  );
  const digestsOf = (image: typeof first) => image?.blobs.map(({ digest }) => digest);
  const [, firstConfig, ...firstLayers] = digestsOf(first) ?? [];
  const [, secondConfig, ...secondLayers] = digestsOf(second) ?? [];
  expect(firstLayers).toEqual(fixture.layers.map(({ blob }) => blob.digest));
  expect(secondLayers).toEqual(firstLayers);
  expect(secondConfig).not.toBe(firstConfig);
});

test("everything of the components' bundle is in it, and blobs are links: they cost no disk", async () => {
  const fixture = await makeFixture();
  const { components } = fixture.content;
  const bundle = path.join(fixture.folder, 'bundle');
  const sha256 = await writeSuiteBundle(fixture.content, bundle);
  expect((await hashFile(path.join(bundle, 'index.json'))).digest).toBe(`sha256:${sha256}`);

  const { manifests } = await readIndex(bundle);
  for (const entry of (await readIndex(components)).manifests) {
    expect(manifests).toContainEqual(entry);
  }
  const [layer] = fixture.layers;
  const linked = [
    ...(await readdir(path.join(components, 'blobs', 'sha256'))).map((name) => `sha256:${name}`),
    layer.blob.digest,
  ];
  for (const digest of linked) expect((await stat(blobPath(bundle, digest))).nlink).toBe(2);
  for (const { digest } of manifests) {
    const manifest = JSON.parse(await readFile(blobPath(bundle, digest), 'utf8')) as OciManifest;
    for (const blob of [manifest.config, ...manifest.layers]) {
      expect(await hashFile(blobPath(bundle, blob.digest))).toMatchObject({ digest: blob.digest });
    }
  }
});

test('writing it again leaves the one that a cluster may be reading; another content replaces it', async () => {
  const fixture = await makeFixture();
  const bundle = path.join(fixture.folder, 'bundle');
  const first = await writeSuiteBundle(fixture.content, bundle);
  const { ino } = await stat(bundle);
  expect(await writeSuiteBundle(fixture.content, bundle)).toBe(first);
  expect((await stat(bundle)).ino).toBe(ino);

  const [image] = fixture.content.images;
  const fewer: SuiteBundleContent = { ...fixture.content, images: image ? [image] : [] };
  expect(await writeSuiteBundle(fewer, bundle)).not.toBe(first);
  expect((await readIndex(bundle)).manifests).toHaveLength(3);
  const fresh = path.join(fixture.folder, 'fresh');
  await writeSuiteBundle(fewer, fresh);
  expect(await listFiles(bundle)).toEqual(await listFiles(fresh));
  expect(await leftovers(fixture.folder)).toEqual([]);
});

test('a layer that is not there leaves the bundle as it was', async () => {
  const fixture = await makeFixture();
  const bundle = path.join(fixture.folder, 'bundle');
  await writeSuiteBundle(fixture.content, bundle);
  const files = await listFiles(bundle);
  await rm(fixture.layers[1].file);
  await expect(writeSuiteBundle(fixture.content, bundle)).rejects.toThrow(fixture.layers[1].file);
  expect(await listFiles(bundle)).toEqual(files);
  expect(await leftovers(fixture.folder)).toEqual([]);
});

/** The components' bundle with an executable and an image, and two images of the same two layers. */
async function makeFixture() {
  const folder = await temporaryFolder();
  const { directory } = await makeBundle(folder, { image: true });
  const layers = [await makeLayer(folder, 'base'), await makeLayer(folder, 'web')] as const;
  const images = ['1', '2'].map((tag): SuiteImageContent => {
    const reference = `${tests}/web:${tag}`;
    const image = { upstreamName: 'Web', reference, layers: [], config: { Cmd: ['web'] } };
    return { reference, layers, config: imageConfig(image) };
  });
  const content: SuiteBundleContent = { arch: 'amd64', components: directory, images };
  return { folder, layers, content };
}

async function makeLayer(folder: string, name: string): Promise<BuiltLayer> {
  const file = path.join(folder, `${name}.tar.zst`);
  const entry = {
    type: 'file',
    path: name,
    mode: 0o644,
    size: name.length,
    content: name,
  } as const;
  return { file, ...(await writeLayer(file, [entry], neverAborted)) };
}

async function readIndex(bundle: string): Promise<OciIndex> {
  return JSON.parse(await readFile(path.join(bundle, 'index.json'), 'utf8')) as OciIndex;
}

async function listFiles(directory: string): Promise<readonly string[]> {
  return (await readdir(directory, { recursive: true })).sort();
}

/** What an earlier or unfinished write left beside the bundle. */
async function leftovers(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('.') || name.endsWith('.old'));
}
