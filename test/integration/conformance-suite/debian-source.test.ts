import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchDebianSource } from '../../../scripts/conformance-suite/debian-source.ts';
import { hashBytes } from '../../../src/artifacts/blobs.ts';
import { errorMessage } from '../../../src/base/errors.ts';
import type { LoopbackServer } from '../../support/loopback-server.ts';
import { archiveName, packageName, serveFiles, writeRepositories } from './debian-mirror.ts';

const content = 'what upstream released';
const source = {
  ...{ suite: 'trixie', package: packageName, archive: archiveName },
  sha256: hashBytes(Buffer.from(content)).digest.slice('sha256:'.length),
};
const debian = { origin: 'Debian', label: 'Debian' };
const { signal } = new AbortController();

let folder = '';
let server: LoopbackServer | undefined;
/** Of the mirror, with a name and a password in it. */
let mirror = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'debian-source-'));
  const files = path.join(folder, 'files');
  await mkdir(files);
  server = await serveFiles(files, 'reader:secret');
  mirror = `http://reader:secret@127.0.0.1:${server.port}`;
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

test('takes it from the mirror of a machine that has another suite, in a one-line source', async () => {
  await writeRepositories(path.join(folder, 'files'), {
    'debian/bookworm': debian,
    'debian/trixie': { ...debian, archive: content },
  });
  // A source that nobody serves does not keep the others from being asked.
  await useSources({
    list: `deb ${mirror}/gone bookworm main\ndeb ${mirror}/debian bookworm main\n`,
  });
  expect(await readFile(await fetchSource(), 'utf8')).toBe(content);
});

test('takes it from a source in deb822 form, and not from other repositories on the machine', async () => {
  await writeRepositories(path.join(folder, 'files'), {
    'security/bookworm-security': { origin: 'Debian', label: 'Debian-Security' },
    'security/trixie': { ...debian, archive: 'from the security updates' },
    'other/bookworm': { origin: 'Somebody', label: 'Debian' },
    'other/trixie': { ...debian, archive: 'of somebody' },
    'debian/bookworm': debian,
    'debian/trixie': { ...debian, archive: content },
  });
  const entry = (name: string, suite: string) =>
    `Types: deb\nURIs: ${mirror}/${name}\nSuites: ${suite}\nComponents: main\n\n`;
  await useSources({
    deb822:
      entry('security', 'bookworm-security') +
      entry('other', 'bookworm') +
      entry('debian', 'bookworm'),
  });
  expect(await readFile(await fetchSource(), 'utf8')).toBe(content);
});

test('says which mirror was asked when it has no such suite, without the password', async () => {
  await writeRepositories(path.join(folder, 'files'), { 'debian/bookworm': debian });
  await useSources({ list: `deb ${mirror}/debian bookworm main\n` });
  const error = await fetchSource().catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    why: expect.stringContaining(`http://127.0.0.1:${server?.port}/debian/, the mirror of Debian`),
    fix: expect.stringContaining('source packages of trixie'),
  });
  expect(errorMessage(error)).toContain('/debian/, the mirror');
  expect(errorMessage(error)).not.toContain('secret');
});

test('says so when no source on the machine is of Debian', async () => {
  await writeRepositories(path.join(folder, 'files'), {
    'other/bookworm': { origin: 'Somebody', label: 'Somebody', archive: content },
  });
  await useSources({ list: `deb ${mirror}/other bookworm main\n` });
  await expect(fetchSource()).rejects.toMatchObject({
    why: expect.stringContaining('no repository of Debian'),
    fix: expect.stringContaining('/etc/apt'),
  });
});

test('does not take an archive with another content', async () => {
  await writeRepositories(path.join(folder, 'files'), {
    'debian/bookworm': debian,
    'debian/trixie': { ...debian, archive: 'something else' },
  });
  await useSources({ list: `deb ${mirror}/debian bookworm main\n` });
  const { digest } = hashBytes(Buffer.from('something else'));
  await expect(fetchSource()).rejects.toMatchObject({
    why: expect.stringMatching(`/debian/ has ${digest} instead of sha256:${source.sha256}`),
  });
});

async function fetchSource(): Promise<string> {
  const directory = path.join(folder, 'work');
  await mkdir(directory);
  return await fetchDebianSource(source, { directory, signal });
}

/** Sources in the place of this machine's. The repositories here have no signatures. */
async function useSources(given: { readonly list?: string; readonly deb822?: string }) {
  const parts = path.join(folder, 'sources.list.d');
  await mkdir(parts);
  await writeFile(path.join(folder, 'sources.list'), given.list ?? '');
  if (given.deb822 !== undefined) await writeFile(path.join(parts, 'own.sources'), given.deb822);
  const settings = {
    'Dir::Etc::SourceList': path.join(folder, 'sources.list'),
    'Dir::Etc::SourceParts': parts,
    'Acquire::AllowInsecureRepositories': 'true',
    'APT::Get::AllowUnauthenticated': 'true',
    'Acquire::http::Proxy': 'DIRECT',
    'Acquire::Retries': '0',
  };
  const config = path.join(folder, 'apt.conf');
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
  await writeFile(config, lines.join(''));
  vi.stubEnv('APT_CONFIG', config);
}
