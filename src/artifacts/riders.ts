import { hasBlob } from './blobs.ts';
import { pinnedImageTag } from './catalog.ts';
import { parseImageReference } from './image-reference.ts';
import { blobsOfEntry } from './needed-blobs.ts';
import { entryContent } from './oci-documents.ts';
import { type ArtifactStore, readManifest, readStoreIndex } from './store.ts';
import type { Architecture, Descriptor, ImageArtifact } from './types.ts';

/**
 * Whether an index entry rides along for nodes of an architecture: an image that no release of mini-k8s has, or
 * manifests. No plan knows of it; whoever gives the bundle wants it on the node.
 */
export function isRider(entry: Descriptor, arch: Architecture | undefined): boolean {
  const content = entryContent(entry);
  switch (content.kind) {
    case 'manifests':
      return arch !== undefined;
    case 'image':
      return content.arch === arch && !isOurs(content.reference);
    default:
      return false;
  }
}

/** The images that came into the store beside those of mini-k8s. */
export async function riderImages(
  store: ArtifactStore,
  arch: Architecture,
): Promise<readonly ImageArtifact[]> {
  const { manifests } = await readStoreIndex(store);
  return manifests
    .filter((entry) => isRider(entry, arch))
    .map(entryContent)
    .filter((content) => content.kind === 'image')
    .map(({ reference }) => ({ kind: 'image', reference, arch }));
}

/** Whether the store has exactly this entry, with all its blobs. */
export async function hasEntry(store: ArtifactStore, entry: Descriptor): Promise<boolean> {
  const { manifests } = await readStoreIndex(store);
  const isKnown = manifests.some(({ digest }) => digest === entry.digest);
  const manifest = isKnown ? await readManifest(store.directory, entry) : undefined;
  if (manifest === undefined) return false;
  for (const blob of blobsOfEntry(entry, manifest, undefined)) {
    if (!(await hasBlob(store.directory, blob))) return false;
  }
  return true;
}

function isOurs(reference: string): boolean {
  const name = parseImageReference(reference);
  return name !== undefined && pinnedImageTag(`${name.registry}/${name.repository}`) !== undefined;
}
