import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import path from 'node:path';
import { hashBytes } from '../../../src/artifacts/blobs.ts';
import { errorCode } from '../../../src/base/errors.ts';
import { type LoopbackServer, listenOnLoopback } from '../../support/loopback-server.ts';

/** What a repository says of itself, and what is in it. */
export interface Repository {
  readonly origin: string;
  readonly label: string;
  /** Content of the one source package's archive; undefined: there are no source packages. */
  readonly archive?: string;
}

/** The source package that a repository may have. */
export const packageName = 'tool';
export const archiveName = 'tool_1.0.orig.tar.bz2';

/** Repositories by path and suite: `debian/trixie`. Unsigned. */
export async function writeRepositories(
  directory: string,
  repositories: Readonly<Record<string, Repository>>,
): Promise<void> {
  for (const [name, repository] of Object.entries(repositories)) {
    const slash = name.lastIndexOf('/');
    const root = path.join(directory, name.slice(0, slash));
    await writeRepository(root, name.slice(slash + 1), repository);
  }
}

async function writeRepository(
  root: string,
  suite: string,
  { origin, label, archive }: Repository,
): Promise<void> {
  const { arch } = process;
  const architecture = arch === 'x64' ? 'amd64' : arch;
  const indices: Record<string, string> = {
    [`main/binary-${architecture}/Packages`]: `Package: thing\nVersion: 1\nArchitecture: ${architecture}\nFilename: pool/thing.deb\nSize: 1\nDescription: thing\n`,
  };
  if (archive !== undefined) indices['main/source/Sources'] = await writePackage(root, archive);
  const dist = path.join(root, 'dists', suite);
  for (const [name, content] of Object.entries(indices)) await put(path.join(dist, name), content);
  const release = [
    ...[`Origin: ${origin}`, `Label: ${label}`, `Suite: ${suite}`, `Codename: ${suite}`],
    ...[`Architectures: ${architecture}`, 'Components: main'],
    ...['Date: Sat, 01 Aug 2026 00:00:00 UTC', 'SHA256:'],
    ...Object.entries(indices).map(([name, content]) => ` ${fileLine(name, content)}`),
  ];
  await put(path.join(dist, 'Release'), `${release.join('\n')}\n`);
}

/** Returns what the index of sources says of it. */
async function writePackage(root: string, archive: string): Promise<string> {
  const description = `Format: 1.0\nSource: ${packageName}\nVersion: 1.0\n`;
  const files = { 'tool_1.0.dsc': description, [archiveName]: archive };
  for (const [name, content] of Object.entries(files)) {
    await put(path.join(root, 'pool', name), content);
  }
  return [
    ...[`Package: ${packageName}`, `Binary: ${packageName}`, 'Version: 1.0', 'Directory: pool'],
    ...['Architecture: any', 'Format: 1.0', 'Checksums-Sha256:'],
    ...Object.entries(files).map(([name, content]) => ` ${fileLine(name, content)}`),
    '',
  ].join('\n');
}

function fileLine(name: string, content: string): string {
  const { digest, size } = hashBytes(Buffer.from(content));
  return `${digest.slice('sha256:'.length)} ${size} ${name}`;
}

async function put(file: string, content: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

/** Serves the files of a directory to those who give this name and password. */
export async function serveFiles(directory: string, credentials: string): Promise<LoopbackServer> {
  const expected = `Basic ${Buffer.from(credentials).toString('base64')}`;
  const server = createServer((request, response) => {
    const isKnown = request.headers.authorization === expected;
    answer(isKnown ? path.join(directory, request.url ?? '/') : undefined, response).catch(() =>
      response.destroy(),
    );
  });
  return await listenOnLoopback(server);
}

async function answer(file: string | undefined, response: ServerResponse): Promise<void> {
  const content = file === undefined ? undefined : await readIfFile(file);
  response.statusCode = file === undefined ? 401 : content === undefined ? 404 : 200;
  response.end(content);
}

async function readIfFile(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'EISDIR') return undefined;
    throw error;
  }
}
