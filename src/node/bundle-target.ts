import { createHash } from 'node:crypto';
import { access, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { syncDirectory } from '../base/files.ts';
import { tryNamedLock } from './lock.ts';

/** Where a bundle is made, and what of. */
export interface BundleTarget {
  /** Absolute. */
  readonly path: string;
  readonly form: BundleForm;
  /** Beside it, so that one rename makes the bundle visible: a layout while it grows. An interrupted one is gone on with. */
  readonly stagingDir: string;
}

export type BundleForm = 'directory' | 'tar' | 'tar.zst';

/**
 * What `--out` means: `.tar.zst` and `.tar` are one file, a name without extension is a directory.
 * @throws UserError for a name of another format, and where something is that must not be replaced.
 */
export async function openTarget(out: string): Promise<BundleTarget> {
  const file = path.resolve(out);
  const form = formOf(file);
  const directory = path.dirname(file);
  if (!(await isDirectory(directory))) throw refused(file, `there is no directory ${directory}`);
  if (form === 'directory') await requireEmpty(file);
  else if (await isDirectory(file)) throw refused(file, 'it is a directory');
  return { path: file, form, stagingDir: `${file}.partial` };
}

/**
 * Has the target to itself while it works. What is not finished stays for the next time where it was fetched from
 * elsewhere, and is removed where it was only copied.
 * @param work Gets a function to call as soon as there is something that another try should not have to fetch again.
 */
export async function withTarget<T>(
  target: BundleTarget,
  work: (keepUnfinished: () => void) => Promise<T>,
): Promise<T> {
  const { stagingDir } = target;
  // An abstract socket's name has not room for a path.
  const digest = createHash('sha256').update(stagingDir).digest('hex');
  const lock = await tryNamedLock(`mini-k8s-bundle:${digest}`);
  if (lock === undefined) throw refused(target.path, 'another process makes it just now');
  let isKept = await exists(stagingDir);
  try {
    return await work(() => {
      isKept = true;
    });
  } catch (error) {
    if (!isKept) await rm(stagingDir, { recursive: true, force: true });
    throw isUnwritable(error) ? refused(target.path, errorMessage(error), error) : error;
  } finally {
    await lock.release();
  }
}

/** Makes the finished bundle visible, in place of an older file of that name. */
export async function publish(target: BundleTarget, archive: string | undefined): Promise<void> {
  const { stagingDir } = target;
  if (archive === undefined) {
    await rename(stagingDir, target.path);
  } else {
    await rename(archive, target.path);
    await rm(stagingDir, { recursive: true, force: true });
  }
  await syncDirectory(path.dirname(target.path));
}

function formOf(file: string): BundleForm {
  if (file.endsWith('.tar.zst')) return 'tar.zst';
  const extension = /\.(tar|tgz|gz|zst|xz|bz2|zip|oci)$/.exec(file)?.[1];
  if (extension === 'tar') return 'tar';
  if (extension === undefined) return 'directory';
  throw refused(file, `a bundle is no .${extension}`);
}

async function requireEmpty(directory: string): Promise<void> {
  try {
    if ((await readdir(directory)).length === 0) return;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    if (errorCode(error) !== 'ENOTDIR') throw error;
  }
  throw refused(directory, 'there is something already');
}

async function isDirectory(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isDirectory();
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** Not a bug: the file system has no room, or does not let us write. */
export function isUnwritable(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'EPERM'].includes(errorCode(error) ?? '');
}

function refused(file: string, why: string, cause?: unknown): UserError {
  return new UserError({
    what: `make the bundle ${file}`,
    why,
    fix: 'give --out a new directory, or a file whose name ends with .tar.zst or .tar',
    cause,
  });
}
