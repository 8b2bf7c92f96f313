import { hasBlob } from './blobs.ts';
import { pinnedImageTag } from './catalog.ts';
import { parseImageReference } from './image-reference.ts';
import { annotations } from './media-types.ts';
import { blobsOfEntry } from './needed-blobs.ts';
import { entryContent } from './oci-documents.ts';
import { entryKey } from './oci-layout.ts';
import { type ArtifactStore, readManifest, readStoreIndex } from './store.ts';
import type { Architecture, Descriptor, ImageArtifact, OciIndex } from './types.ts';

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

/** What a bundle would change of what rides along. */
export interface RiderChanges {
  readonly arriving: readonly Descriptor[];
  /** In the store with an earlier bundle, and not in this one. */
  readonly leaving: readonly Descriptor[];
}

/** Compares a bundle with what the store has for nodes of an architecture, and with what it was told before. */
export async function findRiderChanges(
  store: ArtifactStore,
  given: OciIndex,
  arch: Architecture,
): Promise<RiderChanges> {
  const stored = await readStoreIndex(store);
  const left = findLeftBehind(stored, given) ?? [];
  return {
    arriving: await findArriving(store, { stored, given }, arch),
    leaving: left.filter((entry) => !isLeftBehind(entry)),
  };
}

/** What rides along in a bundle for nodes of an architecture, and the store has not, or not with all its blobs. */
export async function findArriving(
  store: ArtifactStore,
  { stored, given }: { readonly stored: OciIndex; readonly given: OciIndex },
  arch: Architecture,
): Promise<readonly Descriptor[]> {
  const known = new Set(stored.manifests.map(({ digest }) => digest));
  const arriving: Descriptor[] = [];
  for (const entry of given.manifests) {
    if (!isRider(entry, arch)) continue;
    if (!known.has(entry.digest) || !(await hasBlobs(store, entry))) arriving.push(entry);
  }
  return arriving;
}

/**
 * What came along with earlier bundles, and does not with this one. Pure.
 * @returns undefined for a bundle in which nothing rides, which says nothing about that: it may be a release of mini-k8s.
 */
export function findLeftBehind(
  stored: OciIndex,
  given: OciIndex,
): readonly Descriptor[] | undefined {
  const riding = new Set(given.manifests.filter(ridesAnywhere).map(entryKey));
  if (riding.size === 0) return undefined;
  return stored.manifests.filter((entry) => ridesAnywhere(entry) && !riding.has(entryKey(entry)));
}

/** Whether the last bundle in which something rode had this entry no more. */
export function isLeftBehind(entry: Descriptor): boolean {
  return entry.annotations?.[annotations.leftBehind] !== undefined;
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

async function hasBlobs(store: ArtifactStore, entry: Descriptor): Promise<boolean> {
  const manifest = await readManifest(store.directory, entry);
  if (manifest === undefined) return false;
  for (const blob of blobsOfEntry(entry, manifest, undefined)) {
    if (!(await hasBlob(store.directory, blob))) return false;
  }
  return true;
}

/** For nodes of whatever architecture. */
function ridesAnywhere(entry: Descriptor): boolean {
  const { architecture } = entry.platform ?? {};
  return isRider(entry, architecture === 'arm64' ? 'arm64' : 'amd64');
}

function isOurs(reference: string): boolean {
  const name = parseImageReference(reference);
  return name !== undefined && pinnedImageTag(`${name.registry}/${name.repository}`) !== undefined;
}
