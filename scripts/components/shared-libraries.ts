import { lstat, realpath } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, UserError } from '../../src/base/errors.ts';
import type { DebianRoot } from './debian.ts';
import { runCommand } from './run-command.ts';

/** What a dynamically linked file needs to run. */
export interface DynamicSection {
  /** Names of shared libraries: `libmnl.so.0`. */
  readonly needed: readonly string[];
  /** The dynamic loader of an executable: `/lib64/ld-linux-x86-64.so.2`. */
  readonly interpreter: string | undefined;
}

/** Reads what `readelf --dynamic --program-headers --wide` prints, for any architecture. */
export function parseReadelf(text: string): DynamicSection {
  const needed = [...text.matchAll(/\(NEEDED\)\s+Shared library: \[([^\]]+)\]/g)];
  return {
    needed: needed.flatMap(([, name]) => (name === undefined ? [] : [name])),
    interpreter: /Requesting program interpreter: ([^\]]+)\]/.exec(text)?.[1],
  };
}

/** A file of the root and where it goes in an image, relative to the image's root. */
export interface PlacedFile {
  readonly source: string;
  readonly imagePath: string;
}

/**
 * The shared libraries and loaders that these files need, directly or through others.
 * @throws UserError naming a library that is not there.
 */
export async function findSharedLibraries(
  root: DebianRoot,
  files: readonly string[],
  signal: AbortSignal,
): Promise<readonly PlacedFile[]> {
  const found = new Map<string, PlacedFile>();
  const waiting = [...files];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const { needed, interpreter } = await readDynamicSection(file, signal);
    const loader = interpreter === undefined ? [] : [placeLoader(root, interpreter)];
    for (const placed of [...loader, ...needed.map((name) => placeLibrary(root, name))]) {
      const library = await placed;
      if (library === undefined || found.has(library.imagePath)) continue;
      found.set(library.imagePath, library);
      waiting.push(library.source);
    }
  }
  return [...found.values()];
}

async function readDynamicSection(file: string, signal: AbortSignal): Promise<DynamicSection> {
  const args = ['--dynamic', '--program-headers', '--wide', file];
  const { exitCode, stdout, stderr } = await runCommand('readelf', args, { signal });
  if (exitCode !== 0) throw new Error(`readelf ${file} failed: ${stderr}`);
  return parseReadelf(stdout);
}

/** Debian is on its way to /usr-merged packages: an image has everything under /usr, with links at the top. */
async function placeLibrary(root: DebianRoot, name: string): Promise<PlacedFile | undefined> {
  // The loader is there as the interpreter, and knows itself.
  if (name.startsWith('ld-linux')) return undefined;
  const candidates = ['usr/lib', 'lib'].map((lib) => path.join(lib, root.triplet, name));
  const source = await firstExisting(root, candidates);
  if (source !== undefined) return { source, imagePath: `usr/lib/${root.triplet}/${name}` };
  throw new UserError({
    what: `collect the shared libraries of an image`,
    why: `${name} is in none of ${candidates.map((file) => path.join(root.directory, file)).join(', ')}`,
  });
}

async function placeLoader(root: DebianRoot, interpreter: string): Promise<PlacedFile> {
  const relative = interpreter.slice(1);
  const source = await firstExisting(root, [`usr/${relative}`, relative]);
  if (source === undefined) throw new Error(`No loader ${interpreter} in ${root.directory}`);
  return { source, imagePath: `usr/${relative}` };
}

async function firstExisting(
  root: DebianRoot,
  candidates: readonly string[],
): Promise<string | undefined> {
  for (const candidate of candidates) {
    try {
      return await realpath(path.join(root.directory, candidate));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
  return undefined;
}

/** An executable of a Debian package; links such as /sbin/ip are passed over for the file itself. */
export async function findExecutable(root: DebianRoot, name: string): Promise<PlacedFile> {
  for (const directory of ['usr/bin', 'bin', 'usr/sbin', 'sbin']) {
    const source = path.join(root.directory, directory, name);
    if (await isRegularFile(source)) {
      return { source, imagePath: `usr/${path.basename(directory)}/${name}` };
    }
  }
  throw new Error(`No executable ${name} in ${root.directory}`);
}

async function isRegularFile(file: string): Promise<boolean> {
  try {
    return (await lstat(file)).isFile();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
