import { stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import { hasBlob } from './blobs.ts';
import { upstreamComponent } from './catalog.ts';
import { annotations } from './media-types.ts';
import { entryContent } from './oci-documents.ts';
import { type ArtifactStore, findComponent, readManifest, readStoreIndex } from './store.ts';
import type { ArtifactSpec, Descriptor, ExecutableArtifact } from './types.ts';

/** One executable, and what the store has of it. */
export interface ExecutableState {
  readonly component: string;
  readonly version: string;
  readonly arch: string;
  readonly name: string;
  readonly isPresent: boolean;
  readonly sizeBytes?: number;
  readonly digest?: string;
  /** `source` or `upstream`, as the store's entry says. */
  readonly builtFrom?: string;
  /** Where upstream publishes it, with the sha256 of that file. */
  readonly upstream?: { readonly url: string; readonly sha256: string };
}

/** One image, and what the store has of it. */
export interface ImageState {
  readonly reference: string;
  readonly arch: string;
  /** With all its layers. */
  readonly isPresent: boolean;
  /** Whether this node needs it; else somebody put it there. */
  readonly isWanted: boolean;
  /** Of all its blobs, compressed as they are. */
  readonly sizeBytes?: number;
  /** Of the manifest. */
  readonly digest?: string;
}

/** The store of a directory where there is one. Makes nothing. */
export async function findStore(directory: string): Promise<ArtifactStore | undefined> {
  try {
    await stat(path.join(directory, 'index.json'));
    return { directory };
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** The wanted executables, in the order of the plan. */
export async function inspectExecutables(
  store: ArtifactStore | undefined,
  artifacts: readonly ArtifactSpec[],
): Promise<readonly ExecutableState[]> {
  const states: ExecutableState[] = [];
  for (const artifact of artifacts) {
    if (artifact.kind !== 'executable') continue;
    const found = store && (await findComponent(store, artifact));
    for (const { name } of artifact.members) {
      const layer = found?.executables.get(name);
      const isPresent =
        store !== undefined && layer !== undefined && (await hasBlob(store.directory, layer));
      const builtFrom = found?.entry.annotations?.[annotations.builtFrom];
      const { version, arch } = artifact;
      states.push({
        ...{ component: artifact.name, version, arch, name, isPresent },
        ...(isPresent ? { sizeBytes: layer.size, digest: layer.digest } : {}),
        ...(isPresent && builtFrom !== undefined ? { builtFrom } : {}),
        ...upstreamOf(artifact, name),
      });
    }
  }
  return states;
}

/** The wanted images and all others that the store has, wanted ones first. */
export async function inspectImages(
  store: ArtifactStore | undefined,
  artifacts: readonly ArtifactSpec[],
): Promise<readonly ImageState[]> {
  const entries = store === undefined ? [] : (await readStoreIndex(store)).manifests;
  const stored: ImageState[] = [];
  for (const entry of entries) {
    const content = entryContent(entry);
    if (store === undefined || content.kind !== 'image') continue;
    const isWanted = artifacts.some(
      (artifact) =>
        artifact.kind === 'image' &&
        artifact.reference === content.reference &&
        artifact.arch === content.arch,
    );
    const blobs = await blobsOfImage(store, entry);
    const { reference, arch } = content;
    stored.push({ reference, arch, isWanted, digest: entry.digest, ...blobs });
  }
  const lacking = artifacts
    .filter((artifact) => artifact.kind === 'image')
    .filter((image) => !stored.some((it) => it.reference === image.reference && it.isWanted))
    .map(({ reference, arch }) => ({ reference, arch, isWanted: true, isPresent: false }));
  return [...stored, ...lacking].toSorted(
    (a, b) => Number(b.isWanted) - Number(a.isWanted) || (a.reference < b.reference ? -1 : 1),
  );
}

async function blobsOfImage(
  store: ArtifactStore,
  entry: Descriptor,
): Promise<{ readonly isPresent: boolean; readonly sizeBytes: number }> {
  const manifest = await readManifest(store.directory, entry);
  const blobs = [entry, ...(manifest === undefined ? [] : [manifest.config, ...manifest.layers])];
  let isPresent = manifest !== undefined;
  for (const blob of blobs) isPresent &&= await hasBlob(store.directory, blob);
  return { isPresent, sizeBytes: blobs.reduce((sum, { size }) => sum + size, 0) };
}

function upstreamOf(
  { name, version, arch }: ExecutableArtifact,
  member: string,
): Pick<ExecutableState, 'upstream'> {
  const component = upstreamComponent(name);
  const file = component?.files.find((it) => it.members.some((one) => one.name === member));
  if (file === undefined || component?.version !== version) return {};
  const url = file.url.replaceAll('{version}', version).replaceAll('{arch}', arch);
  return { upstream: { url, sha256: file.sha256[arch] } };
}
