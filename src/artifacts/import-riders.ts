import { type BundleOptions, importBundle } from './bundle.ts';
import { annotations } from './media-types.ts';
import { writeIndex } from './oci-layout.ts';
import { findArriving, findLeftBehind, isLeftBehind } from './riders.ts';
import { type ArtifactStore, readStoreIndex } from './store.ts';
import type { Architecture, Descriptor, OciIndex } from './types.ts';

/**
 * Imports what rides along in a bundle, unless the store has it all: also for a node that lacks nothing of its own, and
 * so had no reason to read the bundle. Once it is there the bundle is not read. What rode in earlier bundles and not in
 * this one stays, and is marked for `artifacts prune`.
 * @throws UserError as `importBundle`.
 */
export async function importRiders(
  options: BundleOptions & {
    /** The bundle's own, as it was read when the bundle was checked. */
    readonly index: OciIndex;
    readonly ridersFor: Architecture;
  },
  signal: AbortSignal,
): Promise<void> {
  const { store, index: given, ridersFor } = options;
  const stored = await readStoreIndex(store);
  const arriving = await findArriving(store, { stored, given }, ridersFor);
  if (arriving.length === 0) return await markLeftBehind(store, stored, given);
  await importBundle({ ...options, lacking: [], signal });
  await markLeftBehind(store, await readStoreIndex(store), given);
}

/** Writes nothing where the store says so already. */
async function markLeftBehind(
  store: ArtifactStore,
  stored: OciIndex,
  given: OciIndex,
): Promise<void> {
  const left = findLeftBehind(stored, given);
  if (left === undefined) return;
  const isMarkedRight = (entry: Descriptor) => isLeftBehind(entry) === left.includes(entry);
  if (stored.manifests.every(isMarkedRight)) return;
  await writeIndex(
    store.directory,
    stored.manifests.map((entry) =>
      isMarkedRight(entry) ? entry : withMark(entry, left.includes(entry)),
    ),
  );
}

function withMark(entry: Descriptor, isLeft: boolean): Descriptor {
  const { [annotations.leftBehind]: _, ...others } = entry.annotations ?? {};
  const mark = isLeft ? { [annotations.leftBehind]: 'true' } : {};
  return { ...entry, annotations: { ...others, ...mark } };
}
