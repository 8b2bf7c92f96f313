import { link } from 'node:fs/promises';
import { errorCode, UserError } from '../base/errors.ts';
import {
  type BlobReference,
  blobPath,
  hasBlob,
  hashFile,
  readReusedChunks,
  writeBlob,
} from './blobs.ts';
import {
  type ArtifactStore,
  commitEntries,
  findComponent,
  findImage,
  readManifest,
} from './store.ts';
import type { ArtifactSource, ArtifactSpec, Descriptor } from './types.ts';

export interface StoreSourceOptions {
  readonly from: ArtifactStore;
  readonly to: ArtifactStore;
  /** Hard links where that is possible. Not for a layout that somebody may write to: both would change. */
  readonly linksBlobs: boolean;
}

/**
 * Another store of this machine as a source. A node may be running on it: nothing in it changes, and what is damaged
 * or not there is left to the next source.
 */
export function createStoreSource(options: StoreSourceOptions): ArtifactSource {
  return {
    description: `the store ${options.from.directory}`,
    mayFail: true,
    provide: async (artifacts, signal) => {
      for (const artifact of artifacts) await provideArtifact(artifact, options, signal);
      return [];
    },
  };
}

async function provideArtifact(
  artifact: ArtifactSpec,
  options: StoreSourceOptions,
  signal: AbortSignal,
): Promise<void> {
  const found = await findBlobs(artifact, options.from);
  if (found === undefined) return;
  let isWhole = true;
  for (const blob of found.blobs) {
    signal.throwIfAborted();
    if (!(await takeBlob(blob, options))) isWhole = false;
  }
  // Of a component one executable may be there without the others.
  const hasEntry = await hasBlob(options.to.directory, found.entry);
  if (hasEntry && (isWhole || artifact.kind === 'executable')) {
    await commitEntries(options.to, [found.entry]);
  }
}

async function findBlobs(
  artifact: ArtifactSpec,
  from: ArtifactStore,
): Promise<{ readonly entry: Descriptor; readonly blobs: readonly BlobReference[] } | undefined> {
  if (artifact.kind === 'image') return findImage(from, artifact.reference, artifact.arch);
  const component = await findComponent(from, artifact);
  const manifest = component && (await readManifest(from.directory, component.entry));
  if (component === undefined || manifest === undefined) return undefined;
  const members = artifact.members.flatMap(({ name }) => component.executables.get(name) ?? []);
  return { entry: component.entry, blobs: [component.entry, manifest.config, ...members] };
}

/** @returns whether it is there now, with the right content. */
async function takeBlob(blob: BlobReference, options: StoreSourceOptions): Promise<boolean> {
  const { from, to, linksBlobs } = options;
  if (await hasBlob(to.directory, blob)) return true;
  if (!(await hasBlob(from.directory, blob))) return false;
  const source = blobPath(from.directory, blob.digest);
  if (linksBlobs) {
    if ((await hashFile(source)).digest !== blob.digest) return false;
    if (await linkBlob(source, blobPath(to.directory, blob.digest))) return true;
  }
  try {
    const { digest, size } = blob;
    const write = { expected: { digest, size }, origin: source };
    await writeBlob(to.directory, readReusedChunks(source), write);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

async function linkBlob(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    // EXDEV: another file system. EPERM: one without hard links (vfat). EMLINK: too many of them.
    if (!['EXDEV', 'EPERM', 'EMLINK'].includes(errorCode(error) ?? '')) throw error;
    return false;
  }
}
