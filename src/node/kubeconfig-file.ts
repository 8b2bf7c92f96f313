import { chown, mkdir, open, realpath, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { type KubeconfigEntry, mergeKubeconfig } from '../pki/merge-kubeconfig.ts';

export interface MergeOptions {
  /** Named by the user; else where kubectl looks. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface MergeResult {
  readonly file: string;
  readonly isChanged: boolean;
  readonly currentContext: string;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A key is in it: for its owner only, whatever mode it had before. */
const fileMode = 0o600;

/**
 * Merges an entry into a kubeconfig, atomically and under kubectl's own lock. A file that is new belongs to the owner of
 * its directory: it is root that may read the keys, and a person who wants to use them.
 * @throws UserError when the file is no kubeconfig, is in use, or cannot be written; it stays as it was then.
 */
export async function mergeIntoFile(
  entry: KubeconfigEntry,
  options: MergeOptions,
): Promise<MergeResult> {
  const file = await orUserError(options.file ?? 'the kubeconfig', () => targetOf(options));
  return await orUserError(file, async () => {
    const directory = path.dirname(file);
    const owner = await ownerOf(file);
    const made = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (made !== undefined) await giveTo(made, directory, owner);
    return await underLock(file, async () => {
      const before = (await readTextIfExists(file)) ?? '';
      const { text, currentContext } = await mergeKubeconfig(before, entry, file);
      const isChanged = text !== before;
      if (isChanged) await writeFileAtomic(file, text, { mode: fileMode, ...owner });
      return { file, isChanged, currentContext };
    });
  });
}

/**
 * Writes a kubeconfig of its own, for its owner only.
 * @throws UserError when there is a file already and `mayReplace` is not set, or when it cannot be written.
 */
export async function writeKubeconfigFile(
  file: string,
  text: string,
  options: { readonly mayReplace: boolean },
): Promise<void> {
  await orUserError(file, async () => {
    if (!options.mayReplace && (await readTextIfExists(file)) !== undefined) {
      throw new UserError({
        what: `write ${file}`,
        why: 'there is a file by this name',
        fix: 'name another one, or replace it with --force',
      });
    }
    await writeFileAtomic(file, text, { mode: fileMode, ...(await ownerOf(file)) });
  });
}

/** The file itself when it is behind a link: a rename would leave the link's target as it was. */
async function targetOf({ file, env }: MergeOptions): Promise<string> {
  const chosen = path.resolve(file ?? (await defaultFile(env)));
  return await realpath(chosen).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return chosen;
    throw error;
  });
}

/** Of several files in KUBECONFIG the first that exists, else the last; without it `~/.kube/config`. */
async function defaultFile(env: MergeOptions['env']): Promise<string> {
  const files = (env['KUBECONFIG'] ?? '').split(':').filter((name) => name !== '');
  for (const file of files) {
    if ((await readTextIfExists(file)) !== undefined) return file;
  }
  return files.at(-1) ?? path.join(env['HOME'] ?? homedir(), '.kube', 'config');
}

/** Of the file, or of the nearest directory that exists. */
async function ownerOf(file: string): Promise<Owner> {
  try {
    const { uid, gid } = await stat(file);
    return { uid, gid };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || path.dirname(file) === file) throw error;
    return await ownerOf(path.dirname(file));
  }
}

/** All directories from the first that was made down to the last. */
async function giveTo(first: string, last: string, { uid, gid }: Owner): Promise<void> {
  await chown(last, uid, gid);
  if (last !== first) await giveTo(first, path.dirname(last), { uid, gid });
}

/** @see https://pkg.go.dev/k8s.io/client-go/tools/clientcmd#ModifyConfig */
async function underLock<T>(file: string, act: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  try {
    await (await open(lock, 'wx', 0o600)).close();
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new UserError({
      what: `change ${file}`,
      why: `${lock} is there: another program is changing it, or one was ended early`,
      fix: 'do it again; if no kubectl config runs, remove that file first',
    });
  }
  try {
    return await act();
  } finally {
    await rm(lock, { force: true });
  }
}

/** What a disk or a person can do to a file; any other code is a bug. */
const meetableCodes: readonly string[] = [
  ...['EACCES', 'EDQUOT', 'EISDIR', 'ELOOP', 'ENAMETOOLONG'],
  ...['ENOENT', 'ENOSPC', 'ENOTDIR', 'EPERM', 'EROFS'],
];

async function orUserError<T>(file: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!meetableCodes.includes(errorCode(error) ?? '')) throw error;
    throw new UserError({
      what: `write ${file}`,
      why: errorMessage(error),
      fix: 'check the path and its permissions, or name another file',
      cause: error,
    });
  }
}
