import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { writeBundledStack } from '../../../src/artifacts/bundle-manifests.ts';
import { importRiders } from '../../../src/artifacts/import-riders.ts';
import { createLayoutWriter, writeIndex } from '../../../src/artifacts/oci-layout.ts';
import { pruneOld } from '../../../src/artifacts/prune-old.ts';
import { riderImages } from '../../../src/artifacts/riders.ts';
import { type ArtifactStore, findImage, verifyStore } from '../../../src/artifacts/store.ts';
import type { Descriptor } from '../../../src/artifacts/types.ts';
import { findBundleNews } from '../../../src/node/bundle-news.ts';
import {
  type CheckedBundle,
  checkBundle,
  type GivenBundle,
} from '../../../src/node/given-bundle.ts';
import { machineArch } from '../../../src/node/host-facts.ts';
import { emptyStore, makeTar, neverAborted, temporaryFolder } from '../artifacts/bundle-fixture.ts';

const arch = machineArch();
const [shop1, shop2, web] = ['shop.example/shop:1', 'shop.example/shop:2', 'shop.example/web:1'];

test('what rides in a new bundle comes, and what rides no more goes with the next prune', async () => {
  const { store, give, news } = await prepare();
  const first = { images: [shop1, web], stack: 'first' };
  expect(await news(first)).toEqual(
    ['manifests shop', `image ${shop1} (${arch})`, `image ${web} (${arch})`].map(
      (name) => `+ ${name} from the bundle`,
    ),
  );
  await give(first);
  expect(await news(first)).toEqual([]);
  expect(await pruneOld(store)).toMatchObject({ removed: [] });

  const second = { images: [shop2, web], stack: 'second' };
  expect(await news(second)).toEqual([
    '+ manifests shop from the bundle',
    `+ image ${shop2} (${arch}) from the bundle`,
    `- image ${shop1} (${arch}), until mini-k8s artifacts prune`,
  ]);
  await give(second);
  expect(await news(second)).toEqual([]);
  // A pod may have it still: until then the store serves it.
  expect(await references(store)).toEqual([shop1, shop2, web]);
  const { removed, freedBytes } = await pruneOld(store);
  expect(removed).toEqual([`image ${shop1} (${arch})`]);
  expect(freedBytes).toBeGreaterThan(layerBytes);
  expect(await references(store)).toEqual([shop2, web]);
  expect(await findImage(store, web, arch)).toBeDefined();
  expect(await verifyStore(store, neverAborted)).toEqual([]);
});

test('a bundle in which nothing rides leaves all, and one that has it again keeps it', async () => {
  const { store, give, news } = await prepare();
  await give({ images: [shop1, web] });
  await give({ images: [] });
  expect(await pruneOld(store)).toMatchObject({ removed: [] });

  await give({ images: [web] });
  await give({ images: [] });
  expect(await news({ images: [shop1, web] })).toEqual([]);
  await give({ images: [shop1, web] });
  expect(await pruneOld(store)).toMatchObject({ removed: [] });
  expect(await references(store)).toEqual([shop1, web]);
});

test('a checked bundle of which the store has all is not read again', async () => {
  const { store, check } = await prepare();
  const bundle = await check({ images: [shop1], stack: 'first' });
  await take(store, bundle);
  await rm(bundle.path, { recursive: true });
  await take(store, bundle);
  expect(await references(store)).toEqual([shop1]);
});

const layerBytes = 100_000;

interface Riding {
  readonly images: readonly string[];
  /** What the manifests of the stack `shop` say. */
  readonly stack?: string;
}

async function prepare() {
  const folder = await temporaryFolder();
  const store = await emptyStore(folder);
  const made = new Map<string, Promise<GivenBundle>>();
  const bundleOf = (riding: Riding) => {
    const name = JSON.stringify(riding);
    const bundle = made.get(name) ?? makeBundle(path.join(folder, `bundle-${made.size}`), riding);
    made.set(name, bundle);
    return bundle;
  };
  const check = async (riding: Riding) => {
    const bundle = await checkBundle(await bundleOf(riding), neverAborted, { arch });
    if (bundle === undefined) throw new Error('no bundle was given');
    return bundle;
  };
  return {
    store,
    check,
    give: async (riding: Riding) => take(store, await check(riding)),
    news: async (riding: Riding) =>
      findBundleNews(await bundleOf(riding), { storeDir: store.directory }, neverAborted),
  };
}

async function take(store: ArtifactStore, bundle: CheckedBundle): Promise<void> {
  await importRiders({ ...bundle, store, ridersFor: arch, onEvent: () => {} }, neverAborted);
}

/** Each image has the same bytes in every bundle. */
const layers = new Map([shop1, shop2, web].map((name) => [name, randomBytes(layerBytes)]));

async function makeBundle(directory: string, { images, stack }: Riding): Promise<GivenBundle> {
  const writer = await createLayoutWriter(directory);
  const entries: Descriptor[] = [];
  for (const reference of images) {
    const content = layers.get(reference) ?? Buffer.alloc(0);
    const blob = await writer.addBlob(makeTar([{ path: 'content', content }]));
    entries.push(await writer.addImage({ reference, arch, layers: [{ blob }], config: {} }));
  }
  if (stack !== undefined) {
    const files = [{ name: 'all.yaml', content: Buffer.from(`# ${stack}\n`) }];
    entries.push(await writeBundledStack(directory, { name: 'shop', files }));
  }
  const { indexSha256 } = await writeIndex(directory, entries);
  return { bundle: directory, trustBundle: indexSha256 };
}

async function references(store: ArtifactStore): Promise<string[]> {
  return (await riderImages(store, arch)).map(({ reference }) => reference);
}
