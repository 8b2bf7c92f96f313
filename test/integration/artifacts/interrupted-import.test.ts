import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { writeBundleArchive } from '../../../src/artifacts/layout-tar.ts';
import { verifyStore } from '../../../src/artifacts/store.ts';
import {
  emptyStore,
  makeBundle,
  neverAborted,
  storeState,
  temporaryFolder,
} from './bundle-fixture.ts';

const run = promisify(execFile);
const program = path.resolve(import.meta.dirname, '../../fixtures/import-bundle.ts');
const mebibyte = 2 ** 20;

describe.each(['directory', 'tar', 'tar.zst'])('a process killed while it imports a %s', (form) => {
  test.each([0.1, 0.37, 0.6, 0.97])(
    'at %f shows nothing; the next import keeps what was complete',
    async (fraction) => {
      const folder = await temporaryFolder();
      const executables = Object.fromEntries(
        ['a', 'b', 'c', 'd', 'e'].map((name) => [name, randomBytes(2 * mebibyte)]),
      );
      const bundle = await makeBundle(folder, { executables });
      const source = await packed(form, bundle.directory, folder);
      const store = await emptyStore(folder);

      const args = [program, source, store.directory, bundle.indexSha256, String(fraction)];
      await expect(run(process.execPath, args)).rejects.toMatchObject({ signal: 'SIGKILL' });
      const interrupted = await storeState(store);
      expect(interrupted.entries).toBe(0);
      expect((await verifyStore(store, neverAborted)).map(({ why }) => why)).toEqual([]);

      let written = -1;
      await importBundle({
        path: source,
        store,
        trustBundle: bundle.indexSha256,
        onEvent: (event) => {
          if (event.type === 'import-finished') written = event.blobs;
        },
        signal: neverAborted,
      });
      expect(written).toBe(7 - interrupted.blobs);
      expect(await storeState(store)).toEqual({ entries: 1, blobs: 7, temporary: 0 });
      expect(await verifyStore(store, neverAborted)).toEqual([]);
    },
  );
});

describe.each(['directory', 'tar.zst'])('300 MB in a %s', (form) => {
  test('stream through little memory', async () => {
    const folder = await temporaryFolder();
    const block = randomBytes(mebibyte);
    const content = Buffer.alloc(300 * mebibyte);
    for (let offset = 0; offset < content.length; offset += mebibyte) block.copy(content, offset);
    const bundle = await makeBundle(folder, { executables: { large: content } });
    const source = await packed(form, bundle.directory, folder);
    const store = await emptyStore(folder);

    const args = [...V8_FLAGS, program, source, store.directory, bundle.indexSha256];
    const { stdout } = await run(process.execPath, args);
    const { beforeKb, peakKb } = JSON.parse(stdout) as { beforeKb: number; peakKb: number };
    expect(beforeKb).toBeGreaterThan(1000);
    expect(peakKb - beforeKb).toBeLessThan(60 * 1024);
    const manifest = await readFile(path.join(store.directory, 'index.json'), 'utf8');
    expect(manifest).toContain('tool:1.0.0');
    expect((await stat(source)).isDirectory()).toBe(form === 'directory');
  });
});

async function packed(form: string, directory: string, folder: string): Promise<string> {
  if (form === 'directory') return directory;
  const file = path.join(folder, `bundle.${form}`);
  await writeBundleArchive(directory, file, form === 'tar.zst' ? { zstdLevel: 1 } : {});
  return file;
}
