import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import { syncDirectory } from '../base/files.ts';

/** Read at a time when two files are compared, bytes. */
const chunkBytes = 1024 * 1024;

/** Whether a file has the content of another; false when there is none. */
export async function hasSameContent(file: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(file).catch(absent), stat(other).catch(absent)]);
  if (a === undefined || b === undefined || a.size !== b.size) return false;
  if (a.ino === b.ino && a.dev === b.dev) return true;
  const [first, second] = await Promise.all([open(file), open(other)]);
  try {
    const buffers = [Buffer.alloc(chunkBytes), Buffer.alloc(chunkBytes)] as const;
    for (;;) {
      const [left, right] = await Promise.all([first.read(buffers[0]), second.read(buffers[1])]);
      if (left.bytesRead !== right.bytesRead) return false;
      if (left.bytesRead === 0) return true;
      const [head, tail] = [buffers[0].subarray(0, left.bytesRead), buffers[1]];
      if (!head.equals(tail.subarray(0, right.bytesRead))) return false;
    }
  } finally {
    await Promise.all([first.close(), second.close()]);
  }
}

/**
 * Puts a copy of `source` at `target`, atomically and durably; what was there goes to `previous`. A program that runs
 * from the old file goes on with it.
 */
export async function replaceExecutable(
  source: string,
  places: { readonly target: string; readonly previous: string },
): Promise<void> {
  const { target, previous } = places;
  await mkdir(path.dirname(target), { recursive: true });
  const temporary = temporaryName(target);
  try {
    await copyFile(source, temporary);
    const handle = await open(temporary, 'r+');
    try {
      await handle.chmod(0o755);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await keepPrevious(target, previous);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(path.dirname(target));
}

/** A second name for the old file, so that there is never none at its place. */
async function keepPrevious(target: string, previous: string): Promise<void> {
  if ((await stat(target).catch(absent)) === undefined) return;
  await mkdir(path.dirname(previous), { recursive: true });
  const temporary = temporaryName(previous);
  try {
    await link(target, temporary).catch(async (error: unknown) => {
      // Another file system, or one without hard links.
      if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP'].includes(errorCode(error) ?? '')) throw error;
      await copyFile(target, temporary);
    });
    await rename(temporary, previous);
  } finally {
    await rm(temporary, { force: true });
  }
}

function temporaryName(file: string): string {
  return path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}`);
}

function absent(error: unknown): undefined {
  if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
  throw error;
}
