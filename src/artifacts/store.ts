import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import {
  type BlobReference,
  blobPath,
  clearTemporary,
  hasBlob,
  hashBytes,
  hashFile,
} from './blobs.ts';
import { mediaTypes } from './media-types.ts';
import {
  entryContent,
  executableName,
  maxDocumentBytes,
  parseIndex,
  parseManifest,
} from './oci-documents.ts';
import { entryKey, layoutMarker, writeIndex } from './oci-layout.ts';
import type { Architecture, Descriptor, OciIndex, OciManifest } from './types.ts';

/**
 * The node's artifacts: an OCI image layout whose blobs were all verified before they became visible.
 * A component may be there in part: a worker's store has no kube-apiserver although the manifest names it.
 *
 *     store/oci-layout  index.json        replaced in one step, after the blobs that it needs
 *           blobs/sha256/<hex>            final, never written again; executables are hard-linked into bin/
 *           tmp/                          unverified content; emptied before each import but for partial downloads
 */
export interface ArtifactStore {
  /** Absolute. */
  readonly directory: string;
}

/** One component of the store. */
export interface StoredComponent {
  readonly entry: Descriptor;
  /** By executable name; the blob of each may be absent. */
  readonly executables: ReadonlyMap<string, Descriptor>;
}

/** A blob that is not what the index says. */
export interface BlobProblem {
  readonly digest: string;
  readonly path: string;
  /** `it has 12 bytes instead of 34`. */
  readonly why: string;
}

/** Makes the directory an empty store when it is none yet. One process at a time: the caller holds the node's lock. */
export async function openStore(directory: string): Promise<ArtifactStore> {
  await mkdir(path.join(directory, 'blobs', 'sha256'), { recursive: true });
  if ((await readTextIfExists(path.join(directory, 'index.json'))) === undefined) {
    await writeFileAtomic(path.join(directory, 'oci-layout'), layoutMarker);
    await writeIndex(directory, []);
  }
  return { directory };
}

/** @throws UserError when index.json is damaged. */
export async function readStoreIndex(store: ArtifactStore): Promise<OciIndex> {
  const file = path.join(store.directory, 'index.json');
  try {
    return parseIndex(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError({
      what: error.what,
      why: error.why,
      fix: `delete ${store.directory} and start again with --bundle`,
      cause: error,
    });
  }
}

/** Adds entries, each in place of the one with the same name and platform. Their blobs must be there already. */
export async function commitEntries(
  store: ArtifactStore,
  entries: readonly Descriptor[],
): Promise<void> {
  const index = await readStoreIndex(store);
  const byKey = new Map(index.manifests.map((entry) => [entryKey(entry), entry]));
  for (const entry of entries) byKey.set(entryKey(entry), entry);
  await writeIndex(store.directory, [...byKey.values()]);
}

/**
 * Reads the manifest behind an index entry from a layout directory.
 * @returns undefined when it is missing or its content has another digest.
 * @throws UserError when it is no manifest.
 */
export async function readManifest(
  layoutDirectory: string,
  entry: Descriptor,
): Promise<OciManifest | undefined> {
  const file = blobPath(layoutDirectory, entry.digest);
  requireManifestEntry(entry, file);
  if (!(await hasBlob(layoutDirectory, entry))) return undefined;
  const content = await readFile(file);
  if (hashBytes(content).digest !== entry.digest) return undefined;
  return parseManifest(content.toString('utf8'), file);
}

/** A component of exactly this version and architecture, or undefined. */
export async function findComponent(
  store: ArtifactStore,
  wanted: { readonly name: string; readonly version: string; readonly arch: Architecture },
): Promise<StoredComponent | undefined> {
  const index = await readStoreIndex(store);
  const entry = index.manifests.find((candidate) => {
    const content = entryContent(candidate);
    return (
      content.kind === 'component' &&
      content.name === wanted.name &&
      content.version === wanted.version &&
      content.arch === wanted.arch
    );
  });
  const manifest = entry && (await readManifest(store.directory, entry));
  if (entry === undefined || manifest === undefined) return undefined;
  return { entry, executables: executablesOf(manifest) };
}

/** An image that is there with all its blobs, or undefined. */
export async function findImage(
  store: ArtifactStore,
  reference: string,
  arch: Architecture,
): Promise<{ readonly entry: Descriptor; readonly blobs: readonly BlobReference[] } | undefined> {
  const index = await readStoreIndex(store);
  const entry = index.manifests.find((candidate) => {
    const content = entryContent(candidate);
    return content.kind === 'image' && content.reference === reference && content.arch === arch;
  });
  const manifest = entry && (await readManifest(store.directory, entry));
  if (entry === undefined || manifest === undefined) return undefined;
  const blobs = [entry, manifest.config, ...manifest.layers];
  for (const blob of blobs) {
    if (!(await hasBlob(store.directory, blob))) return undefined;
  }
  return { entry, blobs };
}

/** Executables of a component manifest by name; layers of other kinds are left out. */
export function executablesOf(manifest: OciManifest): Map<string, Descriptor> {
  const executables = new Map<string, Descriptor>();
  for (const layer of manifest.layers) {
    const name = executableName(layer);
    if (name !== undefined) executables.set(name, layer);
  }
  return executables;
}

/**
 * Reads every blob of the store and compares it with its digest: for the first start after a power cut, and `doctor`.
 * @returns what is wrong, empty when all is well. Executables that this node never needed are not missed.
 */
export async function verifyStore(
  store: ArtifactStore,
  signal: AbortSignal,
): Promise<readonly BlobProblem[]> {
  const problems: BlobProblem[] = [];
  const directory = path.join(store.directory, 'blobs', 'sha256');
  const present = new Set(await readdir(directory));
  for (const name of present) {
    const file = path.join(directory, name);
    const found = await hashFile(file, signal);
    if (found.digest === `sha256:${name}`) continue;
    problems.push({ digest: `sha256:${name}`, path: file, why: `its content has ${found.digest}` });
  }
  for (const blob of await requiredBlobs(store)) {
    if (present.has(blob.digest.slice('sha256:'.length))) continue;
    const file = blobPath(store.directory, blob.digest);
    problems.push({ digest: blob.digest, path: file, why: 'it is missing' });
  }
  return problems;
}

/**
 * Removes damaged blobs, so that the next `ensureArtifacts` obtains them again. The index keeps its entries:
 * an entry without its blobs counts as absent.
 */
export async function discardBlobs(problems: readonly BlobProblem[]): Promise<void> {
  for (const problem of problems) await rm(problem.path, { force: true });
}

/**
 * Removes blobs that no entry of the index needs, and what an interrupted import left in tmp/: also the beginnings of
 * downloads whose blobs came another way.
 */
export async function pruneStore(store: ArtifactStore): Promise<void> {
  const used = new Set((await referencedBlobs(store)).map((blob) => blob.digest));
  const directory = path.join(store.directory, 'blobs', 'sha256');
  const present = await readdir(directory);
  for (const name of present) {
    if (!used.has(`sha256:${name}`)) await rm(path.join(directory, name), { force: true });
  }
  await clearTemporary(
    store.directory,
    (digest) => !present.includes(digest.slice('sha256:'.length)),
  );
}

/** Makes a blob executable where it is not yet. */
export async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o777) !== 0o755) await chmod(file, 0o755);
}

/** Blobs without which an entry is of no use: manifests, configs, image layers. */
async function requiredBlobs(store: ArtifactStore): Promise<readonly BlobReference[]> {
  const blobs = await referencedBlobs(store);
  return blobs.filter((blob) => blob.mediaType !== mediaTypes.executable);
}

async function referencedBlobs(store: ArtifactStore): Promise<readonly Descriptor[]> {
  const blobs: Descriptor[] = [];
  for (const entry of (await readStoreIndex(store)).manifests) {
    blobs.push(entry);
    const manifest = await readManifest(store.directory, entry);
    if (manifest !== undefined) blobs.push(manifest.config, ...manifest.layers);
  }
  return blobs;
}

function requireManifestEntry(entry: Descriptor, file: string): void {
  const what = `read manifest ${file}`;
  if (entry.mediaType !== mediaTypes.manifest && entry.mediaType !== mediaTypes.dockerManifest) {
    throw new UserError({
      what,
      why: `its media type ${entry.mediaType} is not supported`,
      fix: 'put one manifest per architecture into the bundle, not an index of several',
    });
  }
  if (entry.size > maxDocumentBytes) {
    throw new UserError({ what, why: `its ${entry.size} bytes are more than ${maxDocumentBytes}` });
  }
}
