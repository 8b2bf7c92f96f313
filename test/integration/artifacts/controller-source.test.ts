import { truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import { listOffered } from '../../../src/artifacts/registry-offer.ts';
import { findImage, readStoreIndex, verifyStore } from '../../../src/artifacts/store.ts';
import type { ArtifactSpec } from '../../../src/artifacts/types.ts';
import { dialTcp } from '../../../src/base/dial.ts';
import { neverAborted, storeState, wantTool } from './bundle-fixture.ts';
import {
  addBundle,
  ensureOptions,
  executable,
  executableFile,
  makeStores,
  makeStoresLike,
  sourceFrom,
} from './controller-fixture.ts';
import { createRegistryAuthority, startRegistry } from './registry-fixture.ts';

const hello: ArtifactSpec = { kind: 'image', reference: 'example.test/hello:1', arch: 'amd64' };

describe('a controller as a source', () => {
  test('gives the wanted executables and whole images, as a bundle would', async () => {
    const stores = await makeStores({ image: true, builtFrom: 'source' });
    const registry = await startRegistry({ store: stores.from, ...stores });
    const { source, events } = sourceFrom(stores, [registry.address]);
    await source.provide([wantTool('/bin', { members: ['beta'] }), hello], neverAborted);

    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    await expect(executable(stores, 'alpha')).rejects.toThrow('ENOENT');
    expect(await findImage(stores.to, 'example.test/hello:1', 'amd64')).toBeDefined();
    // Manifest, config and one executable; manifest, config and layer.
    expect(await storeState(stores.to)).toEqual({ entries: 2, blobs: 6, temporary: 0 });
    expect(await verifyStore(stores.to, neverAborted)).toEqual([]);
    expect((await readStoreIndex(stores.to)).manifests).toEqual(
      (await readStoreIndex(stores.from)).manifests,
    );
    const from = `controller ${registry.address}`;
    expect(events[0]).toMatchObject({ type: 'import-started', source: from });
    expect(events.at(-1)).toMatchObject({ type: 'import-finished', source: from, blobs: 4 });
    const done = events.flatMap((event) => (event.type === 'import-progress' ? [event] : []));
    const { doneBytes = 0, totalBytes = 0 } = done.at(-1) ?? {};
    expect(doneBytes / totalBytes).toBeGreaterThan(0.99);
    expect(registry.requests.every((line) => line.startsWith('GET /v2/'))).toBe(true);
  });

  test('is asked only for what is lacking, and not at all when nothing is', async () => {
    const stores = await makeStores();
    const registry = await startRegistry({ store: stores.from, ...stores });
    const { source } = sourceFrom(stores, [registry.address]);
    const options = {
      store: stores.to,
      sources: [source],
      onEvent: () => {},
      signal: neverAborted,
    };
    const bin = path.join(stores.folder, 'bin');
    await ensureArtifacts([wantTool(bin, { members: ['alpha'] })], options);
    const before = registry.requests.length;
    await ensureArtifacts([wantTool(bin)], options);
    expect(registry.requests.slice(before).filter((line) => line.includes('/blobs/'))).toHaveLength(
      1,
    );
    const after = registry.requests.length;
    await ensureArtifacts([wantTool(bin)], options);
    expect(registry.requests.length).toBe(after);
  });

  test('takes the certificate of the node as well as the token', async () => {
    const stores = await makeStores();
    const registry = await startRegistry({ store: stores.from, ...stores });
    const file = path.join(stores.folder, 'client.pem');
    const { cert, key } = stores.authority.client;
    await writeFile(file, `${cert}${key}`);
    const credentials = { kind: 'certificate', certFile: file, keyFile: file } as const;
    const { source } = sourceFrom(stores, [registry.address], { credentials });
    await source.provide([wantTool('/bin')], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
  });

  test('gives what the join document names by digest, whatever its tags say now', async () => {
    const stores = await makeStores();
    const offered = await listOffered(stores.from, 'amd64');
    const registry = await startRegistry({ store: stores.from, ...stores });
    const { source } = sourceFrom(stores, [registry.address], { offered });
    await source.provide([wantTool('/bin')], neverAborted);
    expect(registry.requests[0]).toBe(`GET /v2/mini-k8s/tool/manifests/${offered[0]?.digest}`);
    expect(registry.requests.join()).not.toContain('1.0.0');

    // Another content under the same version: what the document names is gone.
    await addBundle(stores.from, stores.folder, { executables: { beta: Buffer.from('evil') } });
    const later = await makeStoresLike(stores);
    const second = sourceFrom(later, [registry.address], { offered });
    await expect(
      ensureArtifacts([wantTool('/bin')], ensureOptions(later, second.source)),
    ).rejects.toThrow(
      /^Cannot obtain alpha, beta of tool 1\.0\.0 \(amd64\): .*controllers .* has tool 1\.0\.0 \(amd64\)/,
    );
    expect(await storeState(later.to)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
  });

  test('gives the image of the right architecture', async () => {
    const stores = await makeStores({ image: true, arch: 'arm64' });
    await addBundle(stores.from, stores.folder, { image: true });
    const registry = await startRegistry({ store: stores.from, ...stores });
    for (const arch of ['arm64', 'amd64'] as const) {
      const { source } = sourceFrom(stores, [registry.address]);
      await source.provide([{ ...hello, arch }], neverAborted);
      const image = await findImage(stores.to, 'example.test/hello:1', arch);
      expect(image?.entry).toEqual(
        (await findImage(stores.from, 'example.test/hello:1', arch))?.entry,
      );
    }
  });

  test('that lacks a version says which it has', async () => {
    const stores = await makeStores({ version: '0.9.0' });
    const registry = await startRegistry({ store: stores.from, ...stores });
    const { source } = sourceFrom(stores, [registry.address]);
    await expect(
      ensureArtifacts([wantTool('/bin')], ensureOptions(stores, source)),
    ).rejects.toThrow(/controllers 127\.0\.0\.1:\d+ has tool 0\.9\.0 \(amd64\)$/);
  });

  test('that lacks an executable leaves it to the next source', async () => {
    const stores = await makeStores();
    await truncate(await executableFile(stores.from, 'beta'), 1);
    const registry = await startRegistry({ store: stores.from, ...stores });
    const { source } = sourceFrom(stores, [registry.address]);
    await expect(
      ensureArtifacts([wantTool('/bin')], ensureOptions(stores, source)),
    ).rejects.toThrow(/has tool 1\.0\.0 \(amd64\) without all of these$/);
  });

  test('that lacks an image is passed over: containerd pulls it', async () => {
    const stores = await makeStores();
    const registry = await startRegistry({ store: stores.from, ...stores });
    const { source, events } = sourceFrom(stores, [registry.address]);
    const options = ensureOptions(stores, source);
    await ensureArtifacts([hello], { ...options, onEvent: (event) => events.push(event) });
    expect(events).toEqual([{ type: 'image-missing', reference: 'example.test/hello:1' }]);
  });
});

describe('several controllers', () => {
  test('of which one is dead cost one try, and the other gives everything', async () => {
    const stores = await makeStores({ image: true });
    const dead = await startRegistry({ store: stores.from, ...stores });
    await dead.close();
    const registry = await startRegistry({ store: stores.from, ...stores });
    let dials = 0;
    const { source } = sourceFrom(stores, [dead.address, registry.address], {
      dial: (address, signal) => {
        if (address.port === dead.port) dials += 1;
        return dialTcp({ ...address, timeoutMs: 30_000 }, signal);
      },
    });
    expect(source.description).toBe(`controllers ${dead.address}, ${registry.address}`);
    await source.provide([wantTool('/bin'), hello], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    expect(dials).toBe(1);
  });

  test('of which one has a damaged blob and one is not of this cluster: the third serves', async () => {
    const stores = await makeStores();
    const foreign = await startRegistry({
      store: stores.from,
      authority: createRegistryAuthority(),
    });
    const damaged = await startRegistry({
      store: stores.from,
      ...stores,
      intercept: (request, response) => {
        if (request.url?.includes('/blobs/') !== true) return false;
        response.end(Buffer.alloc(300_000));
        return true;
      },
    });
    const good = await startRegistry({ store: stores.from, ...stores });
    const addresses = [foreign, damaged, good].map(({ address }) => address);
    const { source } = sourceFrom(stores, addresses);
    await source.provide([wantTool('/bin')], neverAborted);
    expect(await verifyStore(stores.to, neverAborted)).toEqual([]);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    expect(foreign.requests).toEqual([]);
  });
});
