import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type CacheKey,
  createEntry,
  createTemporaryDirectory,
  entryDirectory,
  hasEntry,
  readRecord,
  removeAbandoned,
} from '../../../scripts/components/component-cache.ts';
import { collectImageFiles, hostArchitecture } from '../../../scripts/components/image-files.ts';
import { imageRecipes } from '../../../scripts/components/image-recipes.ts';
import { type TarEntry, writeLayer } from '../../../scripts/components/tar-layer.ts';
import { type BundleContent, writeBundle } from '../../../scripts/components/write-bundle.ts';
import { blobPath, hashFile } from '../../../src/artifacts/blobs.ts';
import type { OciIndex, OciManifest } from '../../../src/artifacts/types.ts';
import { waitFor } from '../../../src/base/time.ts';

const { signal } = new AbortController();
let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'build-components-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('writeLayer', () => {
  test('tar unpacks what went in, and two runs write the same bytes', async () => {
    const program = path.join(directory, 'program');
    await writeFile(program, '#!/bin/sh\necho built\n', { mode: 0o700 });
    const { size } = await stat(program);
    const entries: readonly TarEntry[] = [
      { type: 'file', path: 'usr/bin/program', mode: 0o755, size, content: { file: program } },
      { type: 'symlink', path: 'bin', target: 'usr/bin' },
      { type: 'directory', path: 'tmp', mode: 0o1777 },
    ];
    const first = await writeLayer(path.join(directory, '1.tar.zst'), entries, signal);
    const second = await writeLayer(path.join(directory, '2.tar.zst'), entries, signal);
    expect(second).toEqual(first);
    expect(await hashFile(path.join(directory, '1.tar.zst'))).toEqual(first.blob);

    const plain = path.join(directory, '1.tar');
    await writeFile(plain, zstdDecompressSync(await readFile(path.join(directory, '1.tar.zst'))));
    expect((await hashFile(plain)).digest).toBe(first.diffId);
    const root = await mkdtemp(path.join(directory, 'root-'));
    execFileSync('tar', ['xf', plain, '-C', root]);
    expect(execFileSync(path.join(root, 'bin', 'program'), { encoding: 'utf8' })).toBe('built\n');
    expect((await stat(path.join(root, 'tmp'))).mode & 0o7777).toBe(0o1777);
  });
});

describe('writeBundle', () => {
  async function content(hash: string): Promise<BundleContent> {
    const executable = path.join(directory, 'etcd');
    await writeFile(executable, `etcd ${hash}`, { mode: 0o755 });
    const layerFile = path.join(directory, `layer-${hash}`);
    const entries: readonly TarEntry[] = [
      { type: 'file', path: 'hash', mode: 0o644, size: hash.length, content: hash },
    ];
    const { blob, diffId } = await writeLayer(layerFile, entries, signal);
    const { digest, size } = await hashFile(executable);
    return {
      arch: 'arm64',
      components: [
        {
          name: 'etcd',
          version: '3.7.1',
          hash,
          executables: [{ name: 'etcd', file: executable, digest, size }],
        },
      ],
      images: [
        {
          name: 'pause',
          reference: 'registry.example/pause:1',
          hash,
          layerFile,
          layer: blob,
          diffId,
          config: { Entrypoint: ['/pause'] },
        },
      ],
    };
  }

  test('links blobs, says which index it wrote, and leaves an unchanged bundle alone', async () => {
    const bundle = path.join(directory, 'bundle');
    const first = await writeBundle(await content('a'), bundle);
    expect(first.isNew).toBe(true);
    expect((await hashFile(path.join(bundle, 'index.json'))).digest).toBe(
      `sha256:${first.indexSha256}`,
    );
    expect(await readFile(`${bundle}.sha256`, 'utf8')).toContain(first.indexSha256);
    const { digest } = await hashFile(path.join(directory, 'etcd'));
    expect((await stat(blobPath(bundle, digest))).nlink).toBe(2);

    const again = await writeBundle(await content('a'), bundle);
    expect(again).toEqual({ ...first, isNew: false });
  });

  test('every blob that index and manifests name is there with its size', async () => {
    const bundle = path.join(directory, 'bundle');
    await writeBundle(await content('a'), bundle);
    const index = JSON.parse(await readFile(path.join(bundle, 'index.json'), 'utf8')) as OciIndex;
    expect(index.manifests.map(({ annotations }) => annotations)).toEqual([
      { 'mini-k8s.io/built-from': 'source', 'org.opencontainers.image.ref.name': 'etcd:3.7.1' },
      {
        'io.containerd.image.name': 'registry.example/pause:1',
        'org.opencontainers.image.ref.name': 'registry.example/pause:1',
      },
    ]);
    for (const { digest, size, platform } of index.manifests) {
      expect(platform).toEqual({ os: 'linux', architecture: 'arm64' });
      const text = await readFile(blobPath(bundle, digest), 'utf8');
      expect(text.length).toBe(size);
      const manifest = JSON.parse(text) as OciManifest;
      for (const blob of [manifest.config, ...manifest.layers]) {
        const found = await hashFile(blobPath(bundle, blob.digest));
        expect(found).toEqual({ digest: blob.digest, size: blob.size });
      }
    }
  });

  test('another content replaces the bundle, with nothing of the old one left', async () => {
    const bundle = path.join(directory, 'bundle');
    const first = await writeBundle(await content('a'), bundle);
    const names = await readdir(path.join(bundle, 'blobs', 'sha256'));
    const second = await writeBundle(await content('b'), bundle);
    expect(second.indexSha256).not.toBe(first.indexSha256);
    expect(await readdir(path.join(bundle, 'blobs', 'sha256'))).toHaveLength(names.length);
    const left = (await readdir(directory)).filter((name) => name.startsWith('.'));
    expect(left).toEqual([]);
  });
});

describe('the cache', () => {
  const key: CacheKey = { name: 'etcd', hash: '0123456789abcdef' };

  test('an entry is there complete or not at all, and replaces the one of an older recipe', async () => {
    const cache = { directory };
    const older: CacheKey = { name: 'etcd', hash: 'fedcba9876543210' };
    await createEntry(cache, older, async () => ({ ok: 1 }));
    await expect(
      createEntry(cache, key, async (temporary) => {
        await writeFile(path.join(temporary, 'half'), '');
        throw new Error('interrupted');
      }),
    ).rejects.toThrow('interrupted');
    expect([hasEntry(cache, key), hasEntry(cache, older)]).toEqual([false, true]);
    expect(await readdir(directory)).toEqual(['etcd-fedcba9876543210']);

    await createEntry(cache, key, async (temporary) => {
      await writeFile(path.join(temporary, 'whole'), '');
      return { ok: 2 };
    });
    expect(await readRecord(cache, key)).toEqual({ ok: 2 });
    expect(existsSync(path.join(entryDirectory(cache, key), 'whole'))).toBe(true);
    expect(hasEntry(cache, older)).toBe(false);
  });

  test('removeAbandoned takes what a dead process left and nothing of a living one', async () => {
    const cache = { directory };
    const own = await createTemporaryDirectory(cache);
    // Above the largest process id that Linux gives.
    await writeFile(path.join(directory, '.tmp-4194305-x'), '');
    await removeAbandoned(cache);
    expect(await readdir(directory)).toEqual([path.basename(own)]);
  });
});

describe('pause', () => {
  test('is compiled without a C library, collects children and ends on SIGTERM', async () => {
    const recipe = imageRecipes.find(({ name }) => name === 'pause');
    if (recipe === undefined) throw new Error('no recipe for pause');
    const [entry] = await collectImageFiles(recipe, {
      arch: hostArchitecture(),
      sourceDirectory: path.resolve(import.meta.dirname, '../../../scripts/components'),
      scratchDirectory: directory,
      goExecutable: () => '',
      debianRoot: () => Promise.reject(new Error('pause needs nothing of Debian')),
      signal,
    });
    if (entry?.type !== 'file') throw new Error(`unexpected entry ${JSON.stringify(entry)}`);
    expect(entry.size).toBeLessThan(20_000);
    const pause = path.join(directory, 'pause');
    // The shell becomes pause, and its child with it pause's: one that pause has to collect when it ends.
    const child = spawn('sh', ['-c', `sleep 0.1 & exec ${pause}`], { stdio: 'ignore' });
    try {
      const proc = `/proc/${child.pid}`;
      const children = () => readFile(`${proc}/task/${child.pid}/children`, 'utf8');
      await waitFor(
        async () => (await readlink(`${proc}/exe`)) === pause && (await children()) === '',
        { subject: 'pause to collect its child', timeoutMs: 20_000, intervalMs: 20 },
      );
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
