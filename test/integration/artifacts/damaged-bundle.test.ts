import { execFile } from 'node:child_process';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { constants, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import {
  type BundleFixture,
  bundleEntries,
  emptyStore,
  makeBundle,
  makeTar,
  neverAborted,
  storeState,
  type TarFixtureEntry,
  temporaryFolder,
} from './bundle-fixture.ts';

interface Damage {
  readonly name: string;
  /** Turns a good bundle into what is imported. */
  readonly make: (entries: TarFixtureEntry[], bundle: BundleFixture) => Uint8Array;
  readonly message: RegExp;
}

const hex = /[0-9a-f]{64}/.source;

const damages: readonly Damage[] = [
  {
    name: 'a blob with another content',
    make: (entries) => makeTar(entries.map(flipLargeBlob)),
    message: new RegExp(`blob sha256:${hex} from .*bundle: its content has sha256:${hex}`),
  },
  {
    name: 'a blob that is longer than the index says',
    make: (entries) =>
      makeTar(
        entries.map((entry) => (isLarge(entry) ? { ...entry, content: grown(entry) } : entry)),
      ),
    message: /its content has sha256:/,
  },
  {
    name: 'a tar that ends in the middle of a blob',
    make: (entries) => makeTar(entries).subarray(0, 200_000),
    message: /damaged or incomplete \(TAR_BAD_ARCHIVE: Truncated input \(needed \d+ more bytes/,
  },
  {
    name: 'a tar that ends between two entries',
    make: (entries) => {
      const [index, marker, ...blobs] = entries.toReversed();
      return makeTar([marker, index, ...blobs.slice(1)].filter((entry) => entry !== undefined));
    },
    message: new RegExp(`is missing: no blob sha256:${hex} of \\d+ bytes`),
  },
  {
    name: 'zstd that ends too early',
    make: (entries) => half(zstdCompressSync(makeTar(entries))),
    message: /the compressed data is damaged or incomplete \(unexpected end of file\)/,
  },
  {
    name: 'zstd with other bytes in the middle',
    make: (entries) => overwriteMiddle(zstdCompressSync(makeTar(entries))),
    message: /its content has sha256:|damaged or incomplete|leads outside|is missing|checksum/,
  },
  {
    name: 'gzip',
    make: (entries) => gzipSync(makeTar(entries)),
    message: /bundle: it is compressed with gzip$/,
  },
  {
    name: 'a text file',
    make: () => Buffer.from('hello\n'),
    message: /bundle: it is neither a tar nor a zstd file$/,
  },
  {
    name: 'a tar without index.json',
    make: (entries) => makeTar(entries.slice(0, -1)),
    message: /bundle: it has no index\.json$/,
  },
  {
    name: 'two index.json',
    make: (entries) => makeTar([...entries, ...entries.slice(-1)]),
    message: /bundle: it holds index\.json twice$/,
  },
  {
    name: 'an index.json that is too large',
    make: () => makeTar([{ path: 'index.json', content: Buffer.alloc(5 * 2 ** 20, ' ') }]),
    message: /index\.json has 5242880 bytes, more than 4194304/,
  },
  {
    name: 'an index.json that is no JSON',
    make: () => makeTar([{ path: 'index.json', content: Buffer.from('{') }]),
    message: /\(index\.json\): it is not JSON/,
  },
  {
    name: 'a digest that leads out of the store',
    make: () => makeTar([index({ digest: `sha256:../../${'a'.repeat(58)}` })]),
    message: /manifests\[0\]\.digest is "sha256:\.\.\/\.\.\//,
  },
  {
    name: 'a size that is no number',
    make: () => makeTar([index({ size: -1 })]),
    message: /manifests\[0\]\.size is -1, not a number of bytes/,
  },
  {
    name: 'an index of another schema version',
    make: () => makeTar([{ path: 'index.json', content: Buffer.from('{"schemaVersion":1}') }]),
    message: /schemaVersion is 1, not 2/,
  },
  {
    name: 'an index of indexes',
    make: () => makeTar([index({ mediaType: 'application/vnd.oci.image.index.v1+json' })]),
    message: /media type application\/vnd\.oci\.image\.index\.v1\+json is not supported/,
  },
  {
    name: 'a layout of another version',
    make: (entries) =>
      makeTar([
        { path: 'oci-layout', content: Buffer.from('{"imageLayoutVersion":"2.0.0"}') },
        ...entries,
      ]),
    message: /imageLayoutVersion is "2\.0\.0", not 1\.x/,
  },
  ...hostileEntries(),
];

test.each(damages)('$name is refused, and the store stays as it was', async ({ make, message }) => {
  const folder = await temporaryFolder();
  const good = await makeBundle(folder);
  const store = await emptyStore(folder);
  const file = path.join(folder, 'bundle');
  await writeFile(file, make(await bundleEntries(good.directory), good));
  await expect(
    importBundle({
      path: file,
      store,
      trustBundle: good.indexSha256,
      onEvent: () => {},
      signal: neverAborted,
    }),
  ).rejects.toMatchObject({ name: 'UserError', message: expect.stringMatching(message) });
  expect(await storeState(store)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
});

describe('a bundle directory', () => {
  test('that lacks a blob names the executable', async () => {
    const folder = await temporaryFolder();
    const good = await makeBundle(folder);
    const store = await emptyStore(folder);
    const large = (await bundleEntries(good.directory)).find(isLarge);
    await rm(path.join(good.directory, large?.path ?? 'absent'));
    await expect(
      importBundle({
        path: good.directory,
        store,
        trustBundle: good.indexSha256,
        onEvent: () => {},
        signal: neverAborted,
      }),
    ).rejects.toThrow(
      new RegExp(
        `: beta of tool 1\\.0\\.0 \\(amd64\\) is missing: no blob sha256:${hex} of 300000 bytes`,
      ),
    );
    expect(await storeState(store)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
  });

  test('whose blob was cut says how long it is', async () => {
    const folder = await temporaryFolder();
    const good = await makeBundle(folder);
    const store = await emptyStore(folder);
    const entries = await bundleEntries(good.directory);
    const large = entries.find(isLarge);
    await truncate(path.join(good.directory, large?.path ?? 'absent'), 1000);
    await expect(
      importBundle({
        path: good.directory,
        store,
        trustBundle: good.indexSha256,
        onEvent: () => {},
        signal: neverAborted,
      }),
    ).rejects.toThrow(/expected 300000 bytes, got 1000/);
    expect(await storeState(store)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
  });

  test('that is not there', async () => {
    const folder = await temporaryFolder();
    const store = await emptyStore(folder);
    await expect(
      importBundle({ path: '/nowhere/b.tar', store, onEvent: () => {}, signal: neverAborted }),
    ).rejects.toMatchObject({
      name: 'UserError',
      message: expect.stringMatching(/^Cannot import \/nowhere\/b\.tar: ENOENT/),
    });
  });
});

describe('a full disk', () => {
  test.each([
    ['is foreseen when the index is known', false, /needs 1 MiB more and has 1 MiB free/],
    ['is met when the index comes last', true, /the file system of \S+ is full/],
  ])('%s, and is free again afterwards', async (_name, indexLast, message) => {
    const folder = await temporaryFolder();
    const good = await makeBundle(folder);
    const archive = path.join(folder, 'bundle.tar');
    await writeFile(archive, makeTar(await bundleEntries(good.directory)));
    const store = path.join(folder, 'small');
    await mkdir(store);
    // In a mount namespace of its own, so that nothing stays mounted whatever happens.
    const script = `mount -t tmpfs -o size=200k tmpfs ${store} || exit 9
      "$@"; code=$?; find ${store} -type f -size +20k | grep . && exit 8; exit $code`;
    const source = indexLast ? archive : good.directory;
    const program = path.resolve(import.meta.dirname, '../../fixtures/import-bundle.ts');
    const importing = [process.execPath, program, source, store, good.indexSha256];
    await expect(
      promisify(execFile)('unshare', ['--mount', 'sh', '-c', script, 'sh', ...importing]),
    ).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(message) });
  });
});

test('zstd that asks for more memory than a node has is refused', async () => {
  const folder = await temporaryFolder();
  const good = await makeBundle(folder, { executables: { alpha: Buffer.alloc(40 * 2 ** 20) } });
  const store = await emptyStore(folder);
  const file = path.join(folder, 'bundle.tar.zst');
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
  compress.end(makeTar(await bundleEntries(good.directory)));
  await writeFile(file, compress);
  await expect(
    importBundle({ path: file, store, onEvent: () => {}, signal: neverAborted }),
  ).rejects.toThrow(/needs more than 16 MiB of memory to read/);
});

function hostileEntries(): Damage[] {
  const cases: readonly (TarFixtureEntry & { readonly message: RegExp })[] = [
    { path: '../evil', content: Buffer.from('x'), message: /entry "\.\.\/evil" leads outside/ },
    { path: 'blobs/../../evil', content: Buffer.from('x'), message: /leads outside/ },
    { path: '/etc/passwd', content: Buffer.from('x'), message: /"\/etc\/passwd" leads outside/ },
    { path: 'blobs', type: 'SymbolicLink', linkpath: '/etc', message: /is a SymbolicLink, not/ },
    { path: 'index.json', type: 'Link', linkpath: '/etc/shadow', message: /is a Link, not/ },
    { path: 'blobs/sha256/x', type: 'CharacterDevice', message: /is a CharacterDevice, not/ },
    { path: 'fifo', type: 'FIFO', message: /is a FIFO, not a regular file/ },
  ];
  return cases.map(({ message, ...entry }) => ({
    name: `the ${entry.type ?? 'file'} ${entry.path}`,
    make: (entries) => makeTar([entry, ...entries]),
    message,
  }));
}

function index(fields: Readonly<Record<string, unknown>>): TarFixtureEntry {
  const entry = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'a'.repeat(64)}`,
    size: 2,
    annotations: { 'org.opencontainers.image.ref.name': 'example.test/x:1' },
    ...fields,
  };
  const content = JSON.stringify({ schemaVersion: 2, manifests: [entry] });
  return { path: 'index.json', content: Buffer.from(content) };
}

function isLarge(entry: TarFixtureEntry): boolean {
  return entry.content?.length === 300_000;
}

function flipLargeBlob(entry: TarFixtureEntry): TarFixtureEntry {
  if (!isLarge(entry) || entry.content === undefined) return entry;
  const content = Buffer.from(entry.content);
  content[1000] = (content[1000] ?? 0) ^ 1;
  return { ...entry, content };
}

function grown(entry: TarFixtureEntry): Uint8Array {
  return Buffer.concat([entry.content ?? Buffer.alloc(0), Buffer.from('more')]);
}

function half(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.length >> 1);
}

function overwriteMiddle(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  return copy.fill(0xaa, copy.length >> 1, (copy.length >> 1) + 64);
}
