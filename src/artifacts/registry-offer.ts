import { isComplete, readCatalog } from './registry-catalog.ts';
import type { ArtifactStore } from './store.ts';
import type { Architecture } from './types.ts';

/** A manifest that a controller vouches for. The same shape as in a join document. */
export interface OfferedManifest {
  /** `kubernetes 1.37.1` or an image reference. */
  readonly name: string;
  /** Repository below /v2/: `mini-k8s/kubernetes`, `coredns/coredns`. */
  readonly repository: string;
  /** `sha256:…` */
  readonly digest: string;
}

/** What the store has for nodes of an architecture, sorted by name: for the join document. */
export async function listOffered(
  store: ArtifactStore,
  arch: Architecture,
): Promise<readonly OfferedManifest[]> {
  const offered: OfferedManifest[] = [];
  for (const entry of (await readCatalog(store)).entries) {
    const { content, repository } = entry;
    if (content.arch !== arch || !(await isComplete(store, entry))) continue;
    const name =
      content.kind === 'image' ? content.reference : `${content.name} ${content.version}`;
    offered.push({ name, repository, digest: entry.entry.digest });
  }
  return offered.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
