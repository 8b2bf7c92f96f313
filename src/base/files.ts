import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from './errors.ts';

/** A file that must have exactly this content, mode and owner. */
export interface FileSpec {
  readonly path: string;
  /** Text; `${secret:NAME}` is replaced by the named secret when the file is written, never in a plan. */
  readonly content: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface WriteOptions {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Writes a file so that after a power cut the old or the new content is there, never a part:
 * temporary file in the same directory, fsync, rename, fsync of the directory. Parent directories are made.
 */
export async function writeFileAtomic(
  file: string,
  content: string | Uint8Array,
  options: WriteOptions = {},
): Promise<void> {
  const directory = path.dirname(file);
  await mkdir(directory, { recursive: true });
  const temporary = path.join(
    directory,
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  try {
    const handle = await open(temporary, 'wx', options.mode ?? 0o644);
    try {
      await handle.writeFile(content);
      await handle.chmod(options.mode ?? 0o644);
      if (options.uid !== undefined || options.gid !== undefined) {
        await handle.chown(options.uid ?? 0, options.gid ?? 0);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(directory);
}

/** Makes a rename or unlink in `directory` durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The text of a file, or undefined when there is none. Other errors are thrown. */
export async function readTextIfExists(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** What `ensureFile` did. */
export type FileChange = 'created' | 'updated' | 'unchanged';

/** Makes a file what its spec says; writes nothing when it already is. */
export async function ensureFile(spec: FileSpec): Promise<FileChange> {
  const current = await readTextIfExists(spec.path);
  if (current === spec.content) {
    await chmod(spec.path, spec.mode);
    await chown(spec.path, spec.uid, spec.gid);
    return 'unchanged';
  }
  await writeFileAtomic(spec.path, spec.content, spec);
  return current === undefined ? 'created' : 'updated';
}

/** Fills `${secret:NAME}` references. `resolve` throws for an unknown name. */
export function fillSecrets(content: string, resolve: (name: string) => string): string {
  return content.replace(/\$\{secret:([a-z0-9-]+)\}/g, (_match, name: string) => resolve(name));
}
