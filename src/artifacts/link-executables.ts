import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import { syncDirectory } from '../base/files.ts';
import { blobPath, readReusedChunks } from './blobs.ts';
import { type ArtifactStore, findComponent, makeExecutable } from './store.ts';
import type { ArtifactEvent, ExecutableArtifact, ExecutableMember } from './types.ts';

interface LinkOptions {
  readonly store: ArtifactStore;
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly signal: AbortSignal;
}

/** Makes the executables of a component, which the store has, present at their paths. */
export async function ensureLinks(
  artifact: ExecutableArtifact,
  options: LinkOptions,
): Promise<void> {
  const component = await findComponent(options.store, artifact);
  const directories = new Set<string>();
  for (const member of artifact.members) {
    options.signal.throwIfAborted();
    const blob = component?.executables.get(member.name);
    if (blob === undefined) throw new Error(`${member.name} of ${artifact.name} vanished`);
    const source = blobPath(options.store.directory, blob.digest);
    const how = await ensureLink(source, member);
    if (how === 'unchanged') continue;
    directories.add(path.dirname(member.path));
    options.onEvent({ type: 'linked', name: member.name, path: member.path, how });
  }
  for (const directory of directories) await syncDirectory(directory);
}

/**
 * Replaces the target in one step, so that a running executable keeps its old file and a new start finds a whole one.
 * A copy carries the blob's modification time: equal size and time mean that it is this blob's copy.
 */
async function ensureLink(
  source: string,
  member: ExecutableMember,
): Promise<'unchanged' | 'hard-link' | 'copy'> {
  await makeExecutable(source);
  if (await isSameFile(source, member.path)) return 'unchanged';
  const directory = path.dirname(member.path);
  await mkdir(directory, { recursive: true });
  await removeLeftovers(directory, path.basename(member.path));
  const temporary = path.join(
    directory,
    `.${path.basename(member.path)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  try {
    const how = await linkOrCopy(source, temporary);
    await rename(temporary, member.path);
    return how;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** `utimes` takes a floating-point number of seconds, which loses the nanoseconds. */
const copiedTimeToleranceMs = 1;

async function isSameFile(source: string, target: string): Promise<boolean> {
  const blob = await stat(source);
  try {
    const found = await stat(target);
    if (found.dev === blob.dev && found.ino === blob.ino) return true;
    return (
      found.size === blob.size &&
      Math.abs(found.mtimeMs - blob.mtimeMs) <= copiedTimeToleranceMs &&
      (found.mode & 0o777) === 0o755
    );
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function linkOrCopy(source: string, target: string): Promise<'hard-link' | 'copy'> {
  try {
    await link(source, target);
    return 'hard-link';
  } catch (error) {
    // EXDEV: another file system. EPERM: one without hard links (vfat). EMLINK: too many of them.
    if (!['EXDEV', 'EPERM', 'EMLINK'].includes(errorCode(error) ?? '')) throw error;
  }
  const { mtime } = await stat(source);
  const handle = await open(target, 'wx', 0o755);
  try {
    for await (const chunk of readReusedChunks(source)) await handle.writeFile(chunk);
    await handle.chmod(0o755);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await utimes(target, mtime, mtime);
  return 'copy';
}

/** A power cut may have left half a copy of 100 MB; nothing else would ever remove it. */
async function removeLeftovers(directory: string, name: string): Promise<void> {
  for (const file of await readdir(directory)) {
    if (file.startsWith(`.${name}.`) && file.endsWith('.tmp')) {
      await rm(path.join(directory, file), { force: true });
    }
  }
}
