import { rm, stat } from 'node:fs/promises';
import { errorCode } from '../base/errors.ts';
import { type BlobReference, blobPath, hasBlob } from './blobs.ts';
import { annotations, mediaTypes } from './media-types.ts';
import { executableName } from './oci-documents.ts';
import { writeComponentManifest } from './oci-layout.ts';
import { type ArtifactStore, commitEntries, findComponent } from './store.ts';
import type { Descriptor } from './types.ts';
import type { WantedComponent, WantedFile } from './upstream-files.ts';

/**
 * The executables of upstream's that the store has of a component, by name. One that was built from source is none:
 * all executables of a component come from one build.
 */
export async function findUpstreamLayers(
  store: ArtifactStore,
  component: WantedComponent,
): Promise<Map<string, Descriptor>> {
  const layers = new Map<string, Descriptor>();
  const found = await findComponent(store, component);
  const isUpstreams = found?.entry.annotations?.[annotations.builtFrom] === 'upstream';
  for (const [name, layer] of isUpstreams ? found.executables : []) {
    if (await hasBlob(store.directory, layer)) layers.set(name, layer);
  }
  return layers;
}

/** What upstream's file gives without a download: known from an earlier time, or verified and not committed yet. */
export async function findFileLayers(
  store: ArtifactStore,
  file: WantedFile,
  known: ReadonlyMap<string, Descriptor>,
): Promise<readonly Descriptor[] | undefined> {
  const layers: Descriptor[] = [];
  for (const member of file.members) {
    const layer = known.get(member.name);
    const blob =
      layer !== undefined && isOfFile(layer, file, member.digest)
        ? layer
        : member.digest !== undefined && (await findBlob(store, member.digest));
    if (!blob) return undefined;
    layers.push(executableLayer(file, member.name, blob));
  }
  return layers;
}

/** A blob of which only the digest is known. Its content was verified before it became visible. */
export async function findBlob(
  store: ArtifactStore,
  digest: string,
): Promise<BlobReference | undefined> {
  try {
    return { digest, size: (await stat(blobPath(store.directory, digest))).size };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function executableLayer(file: WantedFile, name: string, blob: BlobReference): Descriptor {
  const { digest, size } = blob;
  return {
    mediaType: mediaTypes.executable,
    ...{ digest, size },
    annotations: {
      [annotations.title]: name,
      ...(file.isArchive ? { [annotations.archive]: file.digest } : {}),
    },
  };
}

/** Makes what is there of a component visible; archives have done their service then. */
export async function commitComponent(
  store: ArtifactStore,
  component: WantedComponent,
  layers: readonly Descriptor[],
): Promise<void> {
  const all = await findUpstreamLayers(store, component);
  for (const layer of layers) all.set(executableName(layer) ?? '', layer);
  if (all.size > 0) {
    const { name, version, arch } = component;
    const entry = await writeComponentManifest(store.directory, {
      ...{ name, version, arch, builtFrom: 'upstream', layers: [...all.values()] },
    });
    await commitEntries(store, [entry]);
  }
  for (const file of component.files) {
    if (file.isArchive) await rm(blobPath(store.directory, file.digest), { force: true });
  }
}

/** By the pin where there is one, else by the archive that it was recorded with. */
function isOfFile(layer: Descriptor, file: WantedFile, pin: string | undefined): boolean {
  if (pin !== undefined) return layer.digest === pin;
  return layer.annotations?.[annotations.archive] === file.digest;
}
