import { type BundleOptions, importBundle } from './bundle.ts';
import { readBundleHead } from './bundle-head.ts';
import { hasEntry, isRider } from './riders.ts';
import type { Architecture } from './types.ts';

/**
 * Imports what rides along in a bundle, unless the store has it all: also for a node that lacks nothing of its own, and
 * so had no reason to read the bundle. Once it is there only the beginning of the bundle is read.
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
  for (const entry of head.index.manifests) {
    if (!isRider(entry, ridersFor) || (await hasEntry(store, entry))) continue;
    await importBundle({ ...options, lacking: [], signal });
    return;
  }
}
