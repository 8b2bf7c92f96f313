import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createBundleSource } from '../../../src/artifacts/bundle.ts';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { listOffered } from '../../../src/artifacts/registry-offer.ts';
import type { ArtifactEvent } from '../../../src/artifacts/types.ts';
import {
  emptyStore,
  makeBundle,
  neverAborted,
  temporaryFolder,
  wantTool,
} from './bundle-fixture.ts';
import { ensureOptions, executable, makeStores, sourceFrom } from './controller-fixture.ts';
import { startRegistry } from './registry-fixture.ts';

test('what a controller serves to others comes into its store, unlinked, and its lack is no error', async () => {
  const stores = await makeStores();
  const registry = await startRegistry({ store: stores.from, ...stores });
  const { source, events } = sourceFrom(stores, [registry.address]);
  const bin = path.join(stores.folder, 'bin');
  await ensureArtifacts([wantTool(bin, { members: ['alpha'] })], {
    ...ensureOptions(stores, source),
    forOthers: [wantTool('/nowhere', { members: ['beta'] }), wantTool('/x', { version: '2.0.0' })],
    onEvent: (event) => events.push(event),
  });
  expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
  expect(events.filter(({ type }) => type === 'linked')).toHaveLength(1);
  expect(events.filter(({ type }) => type === 'unserved')).toEqual([
    { type: 'unserved', name: 'tool 2.0.0 (amd64)' },
  ]);
});

test('a controller takes all of a bundle, also what it could not run, once anything is lacking', async () => {
  const folder = await temporaryFolder();
  const store = await emptyStore(folder);
  const { directory, executables } = await makeBundle(folder);
  const writer = await createLayoutWriter(directory);
  for (const arch of ['amd64', 'arm64'] as const) {
    const files = Object.keys(executables).map((name) => ({
      name,
      file: path.join(folder, 'sources', name),
    }));
    const component = { name: 'tool', version: '1.0.0', arch, builtFrom: 'upstream' } as const;
    await writer.addComponent({ ...component, executables: files });
  }
  const { indexSha256 } = await writer.finish();
  const source = createBundleSource({
    ...{ path: directory, store, trustBundle: indexSha256, takesAll: true },
    onEvent: () => {},
  });
  const events: ArtifactEvent[] = [];
  const wanted = wantTool(path.join(folder, 'bin'), { members: ['alpha'] });
  await ensureArtifacts([wanted], {
    ...{ store, sources: [source], signal: neverAborted },
    onEvent: (event) => events.push(event),
  });
  expect(events.map(({ type }) => type)).toEqual(['linked']);
  expect(await listOffered(store, 'arm64')).toMatchObject([{ name: 'tool 1.0.0' }]);
});

test('a bundle that has nothing of what is lacking leaves nothing in the store of a controller', async () => {
  const folder = await temporaryFolder();
  const store = await emptyStore(folder);
  const { directory, indexSha256 } = await makeBundle(folder);
  const source = createBundleSource({
    ...{ path: directory, store, trustBundle: indexSha256, takesAll: true },
    onEvent: () => {},
  });
  const wanted = wantTool(path.join(folder, 'bin'), { version: '2.0.0' });
  const ensured = ensureArtifacts([wanted], {
    ...{ store, sources: [source], signal: neverAborted },
    onEvent: () => {},
  });
  await expect(ensured).rejects.toThrow(/tool 2\.0\.0/);
  expect(await readdir(store.directory, { recursive: true })).not.toContainEqual(
    expect.stringMatching(/blobs\/sha256\/./),
  );
  expect(await listOffered(store, 'amd64')).toEqual([]);
});
