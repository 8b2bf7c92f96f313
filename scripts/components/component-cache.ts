import { existsSync } from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../src/base/errors.ts';
import { syncDirectory, writeFileAtomic } from '../../src/base/files.ts';

/**
 * Finished results by recipe hash: `<directory>/<name>-<hash>/`. An entry becomes visible in one rename, complete;
 * what an interrupted build leaves behind is a `.tmp-<pid>-…` directory that the next run removes.
 */
export interface ComponentCache {
  readonly directory: string;
}

export interface CacheKey {
  readonly name: string;
  readonly hash: string;
}

const temporaryPrefix = '.tmp-';
/** Written last into an entry: what it holds, for those who do not want to look themselves. */
const recordFile = 'record.json';

export function entryDirectory(cache: ComponentCache, key: CacheKey): string {
  return path.join(cache.directory, `${key.name}-${key.hash}`);
}

export function hasEntry(cache: ComponentCache, key: CacheKey): boolean {
  return existsSync(path.join(entryDirectory(cache, key), recordFile));
}

/** What `createEntry` recorded. The caller knows its shape: the hash in the key covers the code's generation. */
export async function readRecord<T>(cache: ComponentCache, key: CacheKey): Promise<T> {
  return JSON.parse(await readFile(path.join(entryDirectory(cache, key), recordFile), 'utf8')) as T;
}

/**
 * Makes an entry: `fill` writes into a directory of its own and returns the record. Earlier entries of the same
 * name are removed afterwards, since nothing refers to their recipe any more.
 */
export async function createEntry(
  cache: ComponentCache,
  key: CacheKey,
  fill: (directory: string) => Promise<unknown>,
): Promise<void> {
  const temporary = await createTemporaryDirectory(cache);
  try {
    const record = await fill(temporary);
    await syncTree(temporary);
    await writeFileAtomic(path.join(temporary, recordFile), JSON.stringify(record, undefined, 2));
    await renameOver(temporary, entryDirectory(cache, key));
    await syncDirectory(cache.directory);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  await removeOthers(cache, key);
}

/** A directory beside the entries that `removeAbandoned` finds should this process not live to remove it. */
export async function createTemporaryDirectory(cache: ComponentCache): Promise<string> {
  await mkdir(cache.directory, { recursive: true });
  const prefix = path.join(cache.directory, `${temporaryPrefix}${process.pid}-`);
  const directory = await mkdtemp(prefix);
  await chmod(directory, 0o755);
  return directory;
}

/** Removes what runs that were killed left behind. */
export async function removeAbandoned(cache: ComponentCache): Promise<void> {
  if (!existsSync(cache.directory)) return;
  for (const name of await readdir(cache.directory)) {
    const pid = /^\.tmp-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    await rm(path.join(cache.directory, name), { recursive: true, force: true });
  }
}

async function removeOthers(cache: ComponentCache, key: CacheKey): Promise<void> {
  for (const name of await readdir(cache.directory)) {
    const isOther = isEntryOf(name, key.name) && name !== `${key.name}-${key.hash}`;
    if (isOther) await rm(path.join(cache.directory, name), { recursive: true, force: true });
  }
}

/** Whether a directory name is an entry of this component: `etcd-0123456789abcdef`. */
export function isEntryOf(directoryName: string, name: string): boolean {
  return (
    directoryName.startsWith(`${name}-`) &&
    /^[0-9a-f]{16}$/.test(directoryName.slice(name.length + 1))
  );
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await syncDirectory(path.join(entry.parentPath, entry.name));
    if (!entry.isFile()) continue;
    const handle = await open(path.join(entry.parentPath, entry.name), 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** Puts a directory where another (or a link) may be; there is a moment with neither. */
export async function renameOver(from: string, to: string): Promise<void> {
  const old = `${from}.old`;
  try {
    await rename(to, old);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  await rename(from, to);
  await rm(old, { recursive: true, force: true });
}

/** Makes `target` the same file as `source`: a hard link, or a copy where that is not possible. */
export async function linkOrCopy(source: string, target: string): Promise<void> {
  if (await isSameFile(source, target)) return;
  const temporary = `${target}.${process.pid}.tmp`;
  await rm(temporary, { force: true });
  try {
    await link(source, temporary);
  } catch (error) {
    if (errorCode(error) !== 'EXDEV' && errorCode(error) !== 'EPERM') throw error;
    await copyFile(source, temporary);
  }
  await rename(temporary, target);
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  try {
    const [first, second] = await Promise.all([stat(a), stat(b)]);
    return first.ino === second.ino && first.dev === second.dev;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
