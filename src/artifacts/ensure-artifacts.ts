import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, throwCollected, UserError, UserErrors } from '../base/errors.ts';
import { syncDirectory } from '../base/files.ts';
import { blobPath, hasBlob, readReusedChunks } from './blobs.ts';
import { describeContent, entryContent } from './oci-documents.ts';
import { isDiskFull } from './server-answer.ts';
import {
  type ArtifactStore,
  findComponent,
  findImage,
  makeExecutable,
  readStoreIndex,
} from './store.ts';
import type {
  ArtifactEvent,
  ArtifactSource,
  ArtifactSpec,
  ExecutableArtifact,
  ExecutableMember,
} from './types.ts';

export interface EnsureArtifactsOptions {
  readonly store: ArtifactStore;
  /** Asked in order, each only for what is still lacking. */
  readonly sources: readonly ArtifactSource[];
  /**
   * What this node does not use itself but serves to others: taken into the store where a source has it, never linked,
   * never required. Paths in it mean nothing.
   */
  readonly forOthers?: readonly ArtifactSpec[];
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly signal: AbortSignal;
}

/**
 * Makes every executable present at its path (mode 0755), from the store or else from a source, and every image
 * present in the store where a source has it; an image that nobody has is left to containerd, which pulls it.
 * Done twice it changes nothing and reads no executable.
 * @throws UserError for each executable that neither the store nor a source has in the wanted version; or what went
 *     wrong with the sources that might have had it.
 */
export async function ensureArtifacts(
  artifacts: readonly ArtifactSpec[],
  options: EnsureArtifactsOptions,
): Promise<void> {
  const { store, forOthers = [] } = options;
  let lacking = await findLacking([...artifacts, ...forOthers], store);
  const offers: Offer[] = [];
  const failures: UserError[] = [];
  for (const source of options.sources) {
    if (lacking.length === 0) break;
    const asked = await askSource(source, lacking, options);
    failures.push(...asked.failures);
    if (asked.failures.length === 0) {
      offers.push({ place: source.description, contents: asked.contents });
    }
    lacking = await findLacking(lacking, store);
  }
  const own = lacking.filter((artifact) => artifacts.includes(artifact));
  await requireExecutables(own, { ...options, offers, failures });
  for (const artifact of lacking) {
    if (!own.includes(artifact)) options.onEvent({ type: 'unserved', name: nameOf(artifact) });
    else if (artifact.kind === 'image') {
      options.onEvent({ type: 'image-missing', reference: artifact.reference });
    }
  }
  for (const artifact of artifacts) {
    if (artifact.kind === 'executable') await ensureLinks(artifact, options);
  }
}

/** What a source has instead, or what went wrong with it where another source may have the same. */
async function askSource(
  source: ArtifactSource,
  lacking: readonly ArtifactSpec[],
  { onEvent, signal }: EnsureArtifactsOptions,
): Promise<{ readonly contents: readonly string[]; readonly failures: readonly UserError[] }> {
  try {
    return { contents: await source.provide(lacking, signal), failures: [] };
  } catch (error) {
    const failures = userErrorsOf(error);
    if (source.mayFail !== true || failures.length === 0) throw error;
    if (failures.some(({ cause }) => isDiskFull(cause))) throw error;
    for (const { message } of failures) {
      onEvent({ type: 'source-failed', source: source.description, why: message });
    }
    return { contents: [], failures };
  }
}

/** None for what is no news for a user: an abort, a bug. */
function userErrorsOf(error: unknown): readonly UserError[] {
  if (error instanceof UserErrors) return error.errors;
  return error instanceof UserError ? [error] : [];
}

async function findLacking(
  artifacts: readonly ArtifactSpec[],
  store: ArtifactStore,
): Promise<readonly ArtifactSpec[]> {
  const lacking: ArtifactSpec[] = [];
  for (const artifact of artifacts) {
    if (!(await isStored(artifact, store))) lacking.push(artifact);
  }
  return lacking;
}

async function isStored(artifact: ArtifactSpec, store: ArtifactStore): Promise<boolean> {
  if (artifact.kind === 'image') {
    return (await findImage(store, artifact.reference, artifact.arch)) !== undefined;
  }
  const component = await findComponent(store, artifact);
  for (const { name } of artifact.members) {
    const blob = component?.executables.get(name);
    if (blob === undefined || !(await hasBlob(store.directory, blob))) return false;
  }
  return component !== undefined;
}

async function requireExecutables(
  lacking: readonly ArtifactSpec[],
  options: EnsureArtifactsOptions & {
    readonly offers: readonly Offer[];
    readonly failures: readonly UserError[];
  },
): Promise<void> {
  const executables = lacking.filter((artifact) => artifact.kind === 'executable');
  if (executables.length === 0) return;
  const stored = (await readStoreIndex(options.store)).manifests.map((entry) =>
    describeContent(entryContent(entry)),
  );
  const store = { place: `the store ${options.store.directory}`, contents: stored };
  const offers = [store, ...options.offers];
  const lackingErrors = executables.map(
    (artifact) =>
      new UserError({
        what: `obtain ${artifact.members.map(({ name }) => name).join(', ')} of ${nameOf(artifact)}`,
        why: offers.map((offer) => describeOffer(offer, artifact)).join('; '),
        fix: 'give a bundle that has exactly this version and architecture with --bundle',
      }),
  );
  throwCollected([...lackingErrors, ...options.failures]);
}

/** What a place has, as a person reads it. */
interface Offer {
  /** `bundle /b.tar`. */
  readonly place: string;
  readonly contents: readonly string[];
}

/** `bundle /b.tar has kubernetes 1.36.4 (amd64)`: only what bears the name of what is lacking. */
function describeOffer({ place, contents }: Offer, lacking: ExecutableArtifact): string {
  const similar = contents
    .filter((content) => content.startsWith(`${lacking.name} `))
    .map((content) => (content === nameOf(lacking) ? `${content} without all of these` : content));
  return `${place} has ${similar.length === 0 ? 'none of it' : similar.join(', ')}`;
}

function nameOf(artifact: ArtifactSpec): string {
  return artifact.kind === 'image'
    ? `image ${artifact.reference} (${artifact.arch})`
    : `${artifact.name} ${artifact.version} (${artifact.arch})`;
}

async function ensureLinks(
  artifact: ExecutableArtifact,
  options: EnsureArtifactsOptions,
): Promise<void> {
  const component = await findComponent(options.store, artifact);
  const directories = new Set<string>();
  for (const member of artifact.members) {
    options.signal.throwIfAborted();
    const blob = component?.executables.get(member.name);
    if (blob === undefined) throw new Error(`${member.name} of ${nameOf(artifact)} vanished`);
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
