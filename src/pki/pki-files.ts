import { chmod, chown, mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { readTextIfExists, syncDirectory, writeFileAtomic } from '../base/files.ts';

/** Root (or whoever runs this) when left out. */
export interface FileOwner {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export interface FileAccess extends FileOwner {
  readonly mode: number;
}

export const privateMode = 0o600;
export const publicMode = 0o644;
const directoryMode = 0o755;

/** What the disk or the administrator can do to a file; any other code is a bug. */
const meetableCodes = new Set([
  'EACCES',
  'EDQUOT',
  'EIO',
  'EISDIR',
  'ELOOP',
  'ENOSPC',
  'ENOTDIR',
  'EPERM',
  'EROFS',
]);

/** The text of a file, undefined when there is none. @throws UserError when it cannot be read. */
export async function readPkiFile(file: string): Promise<string | undefined> {
  return await orUserError('read', file, () => readTextIfExists(file));
}

/** Writes a file atomically and durably, in a directory that others cannot write. @throws UserError */
export async function writePkiFile(
  file: string,
  content: string,
  access: FileAccess,
): Promise<void> {
  await orUserError('write', file, async () => {
    const made = await mkdir(path.dirname(file), { recursive: true, mode: directoryMode });
    if (made !== undefined) await syncDirectory(path.dirname(made));
    await writeFileAtomic(file, content, { mode: access.mode, ...ownerOf(access) });
  });
}

/** Corrects mode and owner of a file that exists; touches nothing when they are right. @throws UserError */
export async function ensureAccess(file: string, access: FileAccess): Promise<void> {
  await orUserError('set the mode and owner of', file, async () => {
    const current = await stat(file);
    const owner = ownerOf(access);
    if (current.uid !== owner.uid || current.gid !== owner.gid) {
      await chown(file, owner.uid, owner.gid);
    }
    // after chown, which may clear mode bits
    if ((current.mode & 0o7777) !== access.mode) await chmod(file, access.mode);
  });
}

/** Removes what a killed `writeFileAtomic` left beside these files: it may hold a private key. */
export async function removeTemporaryFiles(files: readonly string[]): Promise<void> {
  const byDirectory = Map.groupBy(files, (file) => path.dirname(file));
  for (const [directory, members] of byDirectory) {
    const names = new Set(members.map((file) => path.basename(file)));
    for (const entry of await namesIn(directory)) {
      const name = /^\.(.+)\.[0-9a-f]{12}\.tmp$/.exec(entry)?.[1];
      if (name === undefined || !names.has(name)) continue;
      const stale = path.join(directory, entry);
      await orUserError('remove', stale, () => rm(stale, { force: true }));
    }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  return await orUserError('read', directory, async () => {
    try {
      return await readdir(directory);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  });
}

function ownerOf(access: FileOwner): { uid: number; gid: number } {
  return {
    uid: access.uid ?? process.geteuid?.() ?? 0,
    gid: access.gid ?? process.getegid?.() ?? 0,
  };
}

async function orUserError<T>(verb: string, file: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!meetableCodes.has(errorCode(error) ?? '')) throw error;
    throw new UserError({
      what: `${verb} ${file}`,
      why: errorMessage(error),
      fix: `check the disk and the permissions of ${path.dirname(file)}`,
      cause: error,
    });
  }
}
