import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { KubeObject } from '../kube-client/types.ts';
import { parseManifest } from './parse.ts';
import { isStackName } from './refs.ts';

const maxFileBytes = 8 * 1024 * 1024;
const maxFilesPerStack = 1_000;

/** A stack directory as found, not yet read. */
export interface StackFiles {
  readonly name: string;
  /** Absolute paths, sorted by file name. */
  readonly files: readonly string[];
  /** Another text whenever a file came, went or changed. */
  readonly signature: string;
  /** Why it cannot be used as it is. */
  readonly problem?: string;
}

/** Something in the manifests directory that is no stack. */
export interface Stray {
  readonly name: string;
  readonly message: string;
}

export type ManifestScan =
  | {
      readonly type: 'read';
      readonly stacks: readonly StackFiles[];
      readonly strays: readonly Stray[];
    }
  /** Nothing is known about any stack: nothing may be deleted. */
  | { readonly type: 'unreadable'; readonly code: string; readonly message: string };

/**
 * Looks at names, sizes and times of all manifest files: `<manifestsDir>/<stack>/*.{yaml,yml,json}`. Hidden entries are
 * passed over, and so are other files within a stack.
 */
export async function scanManifests(manifestsDir: string): Promise<ManifestScan> {
  try {
    const root = await realpath(manifestsDir);
    const stacks: StackFiles[] = [];
    const strays: Stray[] = [];
    for (const name of (await readdir(root)).toSorted().filter(isVisible)) {
      const found = await lookAt(root, name);
      if (found === undefined) continue;
      if ('message' in found) strays.push(found);
      else stacks.push(found);
    }
    return { type: 'read', stacks, strays };
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return { type: 'unreadable', code, message: `${manifestsDir}: ${errorMessage(error)}` };
  }
}

/**
 * The objects of all files of a stack.
 * @throws UserError naming file and line; a system error when a file cannot be read.
 */
export async function readStackFiles(stack: StackFiles): Promise<readonly KubeObject[]> {
  if (stack.problem !== undefined) {
    throw new UserError({ what: `read stack ${stack.name}`, why: stack.problem });
  }
  const objects: KubeObject[] = [];
  for (const file of stack.files) {
    const text = await readFile(file, 'utf8');
    objects.push(...(await parseManifest({ file: path.basename(file), text })));
  }
  return objects;
}

async function lookAt(root: string, name: string): Promise<StackFiles | Stray | undefined> {
  const directory = path.join(root, name);
  const kind = await entryKind(root, directory).catch((error: unknown) => {
    if (errorCode(error) === undefined) throw error;
    return { unreadable: errorMessage(error) };
  });
  if (typeof kind === 'object') {
    return isStackName(name) ? broken(name, kind.unreadable) : { name, message: kind.unreadable };
  }
  if (kind === 'gone') return undefined;
  if (kind === 'file') {
    if (!isManifestName(name)) return undefined;
    const message = `a stack is a directory: move the file to ${path.join(root, 'my-stack', name)}`;
    return { name, message };
  }
  if (!isStackName(name)) {
    const message = `"${name}" is no valid stack name: use at most 63 of a-z, 0-9 and "-"`;
    return { name, message };
  }
  if (kind === 'outside') return broken(name, `${directory} links out of ${root}`);
  return await lookInto(root, name);
}

/** An unreadable stack directory is that stack's problem: the others go on, and it is not taken for a deleted one. */
async function lookInto(root: string, name: string): Promise<StackFiles> {
  const directory = path.join(root, name);
  try {
    const names = (await readdir(directory)).filter(isVisible).filter(isManifestName).toSorted();
    if (names.length > maxFilesPerStack) {
      return broken(name, `${names.length} files, at most ${maxFilesPerStack} are allowed`);
    }
    const looks = await Promise.all(
      names.map((file) => lookAtFile(root, path.join(directory, file))),
    );
    const problem = looks.find((look) => look.problem !== undefined)?.problem;
    return {
      name,
      files: names.map((file) => path.join(directory, file)),
      signature: looks.map((look) => look.signature).join('\n'),
      ...(problem === undefined ? {} : { problem }),
    };
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return broken(name, errorMessage(error));
  }
}

async function lookAtFile(
  root: string,
  file: string,
): Promise<{ readonly signature: string; readonly problem?: string }> {
  const base = path.basename(file);
  const kind = await entryKind(root, file);
  if (kind === 'outside')
    return { signature: `${base} outside`, problem: `${file} links out of ${root}` };
  const stats = await stat(file);
  const signature = `${base} ${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
  if (!stats.isFile()) return { signature, problem: `${base} is not a file` };
  if (stats.size > maxFileBytes) {
    return {
      signature,
      problem: `${base} has ${stats.size} bytes, at most ${maxFileBytes} are allowed`,
    };
  }
  return { signature };
}

/** Links are followed as long as they stay inside: what lies elsewhere is not guarded by this directory's permissions. */
async function entryKind(
  root: string,
  entry: string,
): Promise<'directory' | 'file' | 'outside' | 'gone'> {
  try {
    const target = await realpath(entry);
    if (!target.startsWith(`${root}${path.sep}`)) return 'outside';
    return (await stat(target)).isDirectory() ? 'directory' : 'file';
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'gone';
    throw error;
  }
}

function broken(name: string, problem: string): StackFiles {
  return { name, files: [], signature: problem, problem };
}

function isVisible(name: string): boolean {
  return !name.startsWith('.') && !name.endsWith('~') && !name.startsWith('#');
}

function isManifestName(name: string): boolean {
  return /\.(yaml|yml|json)$/.test(name);
}
