import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { blobPath } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import type { Pins } from '../../../src/artifacts/bundle-trust.ts';
import { writeBundleArchive } from '../../../src/artifacts/layout-tar.ts';
import { findComponent, findImage, verifyStore } from '../../../src/artifacts/store.ts';
import type { ArtifactEvent } from '../../../src/artifacts/types.ts';
import {
  bundleEntries,
  emptyStore,
  makeBundle,
  makeTar,
  neverAborted,
  noPins,
  storeState,
  temporaryFolder,
  wantTool,
} from './bundle-fixture.ts';

const tool = { name: 'tool', version: '1.0.0', arch: 'amd64' } as const;

describe.each(['directory', 'tar', 'tar.zst', 'tar with index.json last'])(
  'a bundle as %s',
  (form) => {
    test('is imported whole and the same bytes come out', async () => {
      const folder = await temporaryFolder();
      const bundle = await makeBundle(folder, { image: true });
      const store = await emptyStore(folder);
      const events: ArtifactEvent[] = [];

      const result = await importBundle({
        path: await packed(form, bundle.directory, folder),
        store,
        trustBundle: bundle.indexSha256,
        pins: noPins,
        onEvent: (event) => events.push(event),
        signal: neverAborted,
      });

      expect(result.imported).toBe(2);
      expect(result.indexSha256).toBe(bundle.indexSha256);
      expect(result.contents).toEqual(['tool 1.0.0 (amd64)', 'image example.test/hello:1 (amd64)']);
      const component = await findComponent(store, tool);
      for (const [name, content] of Object.entries(bundle.executables)) {
        const digest = component?.executables.get(name)?.digest ?? 'absent';
        expect(Buffer.from(content).equals(await readFile(blobPath(store.directory, digest)))).toBe(
          true,
        );
      }
      expect(await findImage(store, 'example.test/hello:1', 'amd64')).toBeDefined();
      expect(await verifyStore(store, neverAborted)).toEqual([]);
      expect(await storeState(store)).toEqual({ entries: 2, blobs: 7, temporary: 0 });
      expect(events[0]?.type).toBe('import-started');
      expect(events.at(-1)).toMatchObject({ type: 'import-finished', blobs: 7 });
    });

    test('imported twice writes nothing the second time', async () => {
      const folder = await temporaryFolder();
      const bundle = await makeBundle(folder);
      const store = await emptyStore(folder);
      const source = await packed(form, bundle.directory, folder);
      const finished: ArtifactEvent[] = [];
      for (let round = 0; round < 2; round += 1) {
        await importBundle({
          path: source,
          store,
          trustBundle: bundle.indexSha256,
          onEvent: (event) => event.type === 'import-finished' && finished.push(event),
          signal: neverAborted,
        });
      }
      expect(finished).toMatchObject([{ blobs: 4 }, { blobs: 0 }]);
    });

    test('gives only what is wanted', async () => {
      const folder = await temporaryFolder();
      const bundle = await makeBundle(folder, { image: true });
      const store = await emptyStore(folder);
      await importBundle({
        path: await packed(form, bundle.directory, folder),
        store,
        lacking: [wantTool(folder, { members: ['alpha'] })],
        trustBundle: bundle.indexSha256,
        onEvent: () => {},
        signal: neverAborted,
      });
      // The manifest, its config and alpha: beta is named by the manifest and absent, which is no damage.
      expect(await storeState(store)).toEqual({ entries: 1, blobs: 3, temporary: 0 });
      expect(await verifyStore(store, neverAborted)).toEqual([]);
    });

    test('is refused without trust, with the flag to give, and leaves nothing', async () => {
      const folder = await temporaryFolder();
      const bundle = await makeBundle(folder, { image: true });
      const store = await emptyStore(folder);
      const attempt = importBundle({
        path: await packed(form, bundle.directory, folder),
        store,
        trustBundle: 'f'.repeat(64),
        pins: noPins,
        onEvent: () => {},
        signal: neverAborted,
      });
      await expect(attempt).rejects.toMatchObject({
        name: 'UserError',
        why: expect.stringContaining(`--trust-bundle names another bundle, ${'f'.repeat(64)}`),
        fix: expect.stringContaining(`--trust-bundle ${bundle.indexSha256}`),
      });
      expect(await storeState(store)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
    });
  },
);

describe('trust without a flag', () => {
  test('is given when every executable has its pinned digest, and ends with the first that differs', async () => {
    const folder = await temporaryFolder();
    const bundle = await makeBundle(folder);
    const digests = await executableDigests(bundle.directory);
    const store = await emptyStore(folder);
    const options = { path: bundle.directory, store, onEvent: () => {}, signal: neverAborted };

    const oneMissing: Pins = {
      executable: (_name, member) => (member === 'alpha' ? digests.get(member) : undefined),
      image: () => undefined,
    };
    await expect(importBundle({ ...options, pins: oneMissing })).rejects.toThrow(
      /beta of tool 1\.0\.0 \(amd64\) has sha256:[0-9a-f]{64}, no digest is pinned for it/,
    );

    const pins: Pins = {
      executable: (_name, member) => digests.get(member),
      image: () => undefined,
    };
    await expect(importBundle({ ...options, pins })).resolves.toMatchObject({ imported: 1 });
  });

  test('an image that is not pinned needs the flag, however honest the executables are', async () => {
    const folder = await temporaryFolder();
    const bundle = await makeBundle(folder, { image: true });
    const digests = await executableDigests(bundle.directory);
    const pins: Pins = {
      executable: (_name, member) => digests.get(member),
      image: () => undefined,
    };
    const store = await emptyStore(folder);
    await expect(
      importBundle({
        path: bundle.directory,
        store,
        pins,
        onEvent: () => {},
        signal: neverAborted,
      }),
    ).rejects.toThrow(/image example\.test\/hello:1 \(amd64\) has sha256:/);
  });

  test('a bundle built from source says so and is refused before anything is copied', async () => {
    const folder = await temporaryFolder();
    const bundle = await makeBundle(folder, { builtFrom: 'source' });
    const store = await emptyStore(folder);
    await expect(
      importBundle({ path: bundle.directory, store, onEvent: () => {}, signal: neverAborted }),
    ).rejects.toThrow(/tool 1\.0\.0 \(amd64\) was built from source/);
  });
});

test('linkBlobs makes hard links, and still refuses a blob whose content changed', async () => {
  const folder = await temporaryFolder();
  const bundle = await makeBundle(folder);
  const store = await emptyStore(folder);
  const options = {
    path: bundle.directory,
    store,
    trustBundle: bundle.indexSha256,
    linkBlobs: true,
    onEvent: () => {},
    signal: neverAborted,
  };
  await importBundle(options);
  const digest = (await executableDigests(bundle.directory)).get('beta') ?? '';
  const [linked, original] = await Promise.all([
    stat(blobPath(store.directory, digest)),
    stat(blobPath(bundle.directory, digest)),
  ]);
  expect(linked.ino).toBe(original.ino);

  const other = await emptyStore(path.join(folder, 'other'));
  await writeFile(blobPath(bundle.directory, digest), Buffer.alloc(300_000));
  await expect(importBundle({ ...options, store: other })).rejects.toThrow(/instead of sha256:/);
  expect(await storeState(other)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
});

async function packed(form: string, directory: string, folder: string): Promise<string> {
  const file = path.join(folder, 'bundle.file');
  switch (form) {
    case 'directory':
      return directory;
    case 'tar':
      await writeBundleArchive(directory, file);
      return file;
    case 'tar.zst':
      await writeBundleArchive(directory, file, { zstdLevel: 3 });
      return file;
    default:
      await writeFile(file, makeTar(await bundleEntries(directory)));
      return file;
  }
}

async function executableDigests(directory: string): Promise<ReadonlyMap<string, string>> {
  const component = await findComponent({ directory }, tool);
  return new Map([...(component?.executables ?? [])].map(([name, layer]) => [name, layer.digest]));
}
