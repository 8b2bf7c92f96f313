import { execFile } from 'node:child_process';
import { access, copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { blobPath } from '../../../src/artifacts/blobs.ts';
import { createBundleSource } from '../../../src/artifacts/bundle.ts';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import {
  type ArtifactStore,
  discardBlobs,
  findComponent,
  verifyStore,
} from '../../../src/artifacts/store.ts';
import type { ArtifactEvent, ArtifactSource, ArtifactSpec } from '../../../src/artifacts/types.ts';
import { errorMessage, UserError } from '../../../src/base/errors.ts';
import {
  type BundleFixture,
  emptyStore,
  makeBundle,
  neverAborted,
  temporaryFolder,
  wantTool,
} from './bundle-fixture.ts';

const run = promisify(execFile);

describe('executables', () => {
  test('become hard links to blobs, run, and the second time nothing happens', async () => {
    const { folder, store, source } = await prepare();
    const bin = path.join(folder, 'bin');
    const first = await ensure([wantTool(bin)], store, [source]);
    expect(first.filter(({ type }) => type === 'linked')).toEqual([
      { type: 'linked', name: 'alpha', path: `${bin}/alpha`, how: 'hard-link' },
      { type: 'linked', name: 'beta', path: `${bin}/beta`, how: 'hard-link' },
    ]);
    expect((await run(path.join(bin, 'alpha'))).stdout).toBe('alpha 1.0.0\n');
    const blob = await stat(await blobOf(store, 'alpha'));
    const linked = await stat(path.join(bin, 'alpha'));
    expect(linked.ino).toBe(blob.ino);
    expect(linked.mode & 0o777).toBe(0o755);

    expect(await ensure([wantTool(bin)], store, [failingSource])).toEqual([]);
    expect((await readdir(bin)).sort()).toEqual(['alpha', 'beta']);
  });

  test('that another file replaced are linked again, also while they run', async () => {
    const { folder, store, source } = await prepare();
    const bin = path.join(folder, 'bin');
    await ensure([wantTool(bin)], store, [source]);
    const target = path.join(bin, 'alpha');
    await rm(target);
    await copyFile('/bin/sleep', target);
    await writeFile(path.join(bin, '.alpha.0123.tmp'), 'half of a copy');
    const running = execFile(target, ['60']);
    try {
      const events = await ensure([wantTool(bin)], store, []);
      expect(events).toEqual([{ type: 'linked', name: 'alpha', path: target, how: 'hard-link' }]);
      expect((await run(target)).stdout).toBe('alpha 1.0.0\n');
      expect((await readdir(bin)).sort()).toEqual(['alpha', 'beta']);
    } finally {
      running.kill('SIGKILL');
    }
  });

  test('on another file system are copied once', async () => {
    const { store, source } = await prepare();
    const shared = await temporaryFolder('/dev/shm');
    if ((await stat(shared)).dev === (await stat(store.directory)).dev) {
      throw new Error('this test needs /dev/shm to be a file system of its own');
    }
    const first = await ensure([wantTool(shared)], store, [source]);
    expect(first.filter(({ type }) => type === 'linked')).toMatchObject([
      { how: 'copy' },
      { how: 'copy' },
    ]);
    expect((await run(path.join(shared, 'alpha'))).stdout).toBe('alpha 1.0.0\n');
    expect(await ensure([wantTool(shared)], store, [])).toEqual([]);

    await writeFile(path.join(shared, 'beta'), Buffer.alloc(300_000));
    expect(await ensure([wantTool(shared)], store, [])).toMatchObject([{ name: 'beta' }]);
    expect(await readFile(path.join(shared, 'beta'))).toEqual(
      await readFile(await blobOf(store, 'beta')),
    );
  });

  test('of a new version take the place of the old, which stays in the store', async () => {
    const { folder, store, source } = await prepare();
    const bin = path.join(folder, 'bin');
    await ensure([wantTool(bin)], store, [source]);
    const next = bundleSource(await makeBundle(folder, { version: '1.1.0' }), store);
    await ensure([wantTool(bin, { version: '1.1.0' })], store, [next]);
    expect((await run(path.join(bin, 'alpha'))).stdout).toBe('alpha 1.1.0\n');
    await ensure([wantTool(bin)], store, []);
    expect((await run(path.join(bin, 'alpha'))).stdout).toBe('alpha 1.0.0\n');
  });

  test('that were not needed before come from the source when they are', async () => {
    const { folder, store, source } = await prepare();
    const bin = path.join(folder, 'bin');
    await ensure([wantTool(bin, { members: ['alpha'] })], store, [source]);
    await expect(access(await blobOf(store, 'beta'))).rejects.toThrow('ENOENT');
    const events = await ensure([wantTool(bin)], store, [source]);
    expect(events.filter(({ type }) => type === 'linked')).toMatchObject([{ name: 'beta' }]);
  });

  test('whose blob was damaged come from the source again', async () => {
    const { folder, store, source } = await prepare();
    const bin = path.join(folder, 'bin');
    await ensure([wantTool(bin)], store, [source]);
    const blob = await blobOf(store, 'beta');
    await writeFile(blob, Buffer.alloc(300_000));
    const problems = await verifyStore(store, neverAborted);
    expect(problems).toMatchObject([
      { path: blob, why: expect.stringMatching(/^its content has/) },
    ]);
    await discardBlobs(problems);
    await ensure([wantTool(bin)], store, [source]);
    expect(await verifyStore(store, neverAborted)).toEqual([]);
    expect(await readFile(path.join(bin, 'beta'))).toEqual(await readFile(blob));
  });
});

describe('what nobody has', () => {
  test('names the wanted version, and those that the store and the bundle have', async () => {
    const { folder, store, source } = await prepare();
    await ensure([wantTool(folder)], store, [source]);
    const older = bundleSource(await makeBundle(folder, { version: '0.9.0' }), store);
    const message = await failure([wantTool(folder, { version: '2.0.0' })], store, [older]);
    expect(message).toMatch(
      /^Cannot obtain alpha, beta of tool 2\.0\.0 \(amd64\): the store \S+ has/,
    );
    expect(message).toMatch(
      /the store \S+ has tool 1\.0\.0 \(amd64\); bundle \S+ has tool 0\.9\.0/,
    );
  });

  test('names the architecture of a bundle for other machines', async () => {
    const folder = await temporaryFolder();
    const store = await emptyStore(folder);
    const source = bundleSource(await makeBundle(folder, { arch: 'arm64' }), store);
    expect(await failure([wantTool(folder)], store, [source])).toMatch(
      /of tool 1\.0\.0 \(amd64\): the store \S+ has none of it; bundle \S+ has tool 1\.0\.0 \(arm64\)$/,
    );
  });

  test('names the executable that a component lacks', async () => {
    const { folder, store, source } = await prepare();
    const wanted = wantTool(folder, { members: ['alpha', 'gamma'] });
    expect(await failure([wanted], store, [source])).toMatch(
      /bundle \S+ has tool 1\.0\.0 \(amd64\) without all of these$/,
    );
  });

  test('is no error for an image: containerd pulls it', async () => {
    const { store, source } = await prepare();
    const image: ArtifactSpec = { kind: 'image', reference: 'example.test/other:2', arch: 'amd64' };
    const events = await ensure([image], store, [source]);
    expect(events.at(-1)).toEqual({ type: 'image-missing', reference: 'example.test/other:2' });
  });
});

describe('a source that fails', () => {
  const away: ArtifactSource = {
    description: 'mirror https://mirror.example',
    mayFail: true,
    provide: () =>
      Promise.reject(new UserError({ what: 'download alpha', why: 'mirror.example is away' })),
  };

  test('is told, and the next one is asked', async () => {
    const { folder, store, source } = await prepare();
    const events = await ensure([wantTool(path.join(folder, 'bin'))], store, [away, source]);
    expect(events[0]).toEqual({
      type: 'source-failed',
      source: 'mirror https://mirror.example',
      why: 'Cannot download alpha: mirror.example is away',
    });
    expect(events.at(-1)?.type).toBe('linked');
  });

  test('is named beside what is lacking when no other has it', async () => {
    const { folder, store } = await prepare();
    const text = await failure([wantTool(path.join(folder, 'bin'))], store, [away]);
    expect(text).toMatch(
      /^Cannot obtain alpha, beta of tool .* has none of it\nCannot download alpha: mirror\.example is away$/,
    );
  });

  test('ends everything where it is what the user named, or the disk is full', async () => {
    const { folder, store, source } = await prepare();
    const wanted = [wantTool(path.join(folder, 'bin'))];
    const { mayFail: _, ...named } = away;
    expect(await failure(wanted, store, [named, source])).toContain('mirror.example is away');
    const cause = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    const full: ArtifactSource = {
      ...away,
      provide: () => Promise.reject(new UserError({ what: 'download', why: 'full', cause })),
    };
    expect(await failure(wanted, store, [full, source])).toBe('Cannot download: full');
  });
});

const failingSource: ArtifactSource = {
  description: 'a source that must not be asked',
  provide: () => Promise.reject(new Error('asked')),
};

async function prepare(): Promise<{
  readonly folder: string;
  readonly store: ArtifactStore;
  readonly source: ArtifactSource;
}> {
  const folder = await temporaryFolder();
  const store = await emptyStore(folder);
  return { folder, store, source: bundleSource(await makeBundle(folder), store) };
}

function bundleSource(bundle: BundleFixture, store: ArtifactStore): ArtifactSource {
  const { directory, indexSha256 } = bundle;
  return createBundleSource({
    path: directory,
    trustBundle: indexSha256,
    store,
    onEvent: () => {},
  });
}

async function ensure(
  artifacts: readonly ArtifactSpec[],
  store: ArtifactStore,
  sources: readonly ArtifactSource[],
): Promise<ArtifactEvent[]> {
  const events: ArtifactEvent[] = [];
  const onEvent = (event: ArtifactEvent) => void events.push(event);
  await ensureArtifacts(artifacts, { store, sources, onEvent, signal: neverAborted });
  return events;
}

async function failure(
  artifacts: readonly ArtifactSpec[],
  store: ArtifactStore,
  sources: readonly ArtifactSource[],
): Promise<string> {
  try {
    await ensure(artifacts, store, sources);
  } catch (error) {
    return errorMessage(error);
  }
  throw new Error('nothing was thrown');
}

async function blobOf(store: ArtifactStore, name: string): Promise<string> {
  const wanted = { name: 'tool', version: '1.0.0', arch: 'amd64' } as const;
  const component = await findComponent(store, wanted);
  return blobPath(store.directory, component?.executables.get(name)?.digest ?? 'sha256:absent');
}
