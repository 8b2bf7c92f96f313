import { type BundleOptions, importBundle } from './bundle.ts';
import { readBundleHead } from './bundle-head.ts';
import { annotations } from './media-types.ts';
import { writeIndex } from './oci-layout.ts';
import { findLeftBehind, findRiderChanges, isLeftBehind } from './riders.ts';
import { type ArtifactStore, readStoreIndex } from './store.ts';
import type { Architecture, Descriptor, OciIndex } from './types.ts';

/**
 * Imports what rides along in a bundle, unless the store has it all: also for a node that lacks nothing of its own, and
 * so had no reason to read the bundle. Once it is there only the beginning of the bundle is read. What rode in earlier
 * bundles and not in this one stays, and is marked for `artifacts prune`.
 * @throws UserError as `importBundle`.
 */
export async function importRiders(
  options: BundleOptions & { readonly ridersFor: Architecture },
  signal: AbortSignal,
): Promise<void> {
  const { store, path, ridersFor } = options;
  const head = await readBundleHead(path, {
    ...{ what: `import ${path}`, needsSignatures: false, signal },
  });
  const { arriving } = await findRiderChanges(store, head.index, ridersFor);
  if (arriving.length > 0) await importBundle({ ...options, lacking: [], signal });
  await markLeftBehind(store, head.index);
}

/** Writes nothing where the store says so already. */
async function markLeftBehind(store: ArtifactStore, given: OciIndex): Promise<void> {
  const stored = await readStoreIndex(store);
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
