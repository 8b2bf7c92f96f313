import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { clearTemporary, temporaryDirectory } from './blobs.ts';
import { componentVersion, isComponentName, pinnedImageTag } from './catalog.ts';
import { parseImageReference } from './image-reference.ts';
import { describeContent, type EntryContent, entryContent } from './oci-documents.ts';
import { writeIndex } from './oci-layout.ts';
import { isLeftBehind } from './riders.ts';
import { type ArtifactStore, pruneStore, readStoreIndex } from './store.ts';

export interface PrunedStore {
  /** What was removed as a whole: `kubernetes 1.36.4 (amd64)`. */
  readonly removed: readonly string[];
  readonly freedBytes: number;
}

/**
 * Removes components and images of other versions than this release uses, what rode in an earlier bundle and in the last
 * one no more, contents that nothing names, and what unfinished downloads left. Other images that are none of ours stay.
 */
export async function pruneOld(store: ArtifactStore): Promise<PrunedStore> {
  const before = await sizeOfStore(store);
  const { manifests } = await readStoreIndex(store);
  const old = manifests.filter((entry) => isLeftBehind(entry) || isOld(entryContent(entry)));
  if (old.length > 0) {
    await writeIndex(
      store.directory,
      manifests.filter((entry) => !old.includes(entry)),
    );
  }
  await pruneStore(store);
  await clearTemporary(store.directory, () => false);
  return {
    removed: old.map((entry) => describeContent(entryContent(entry))),
    freedBytes: before - (await sizeOfStore(store)),
  };
}

function isOld(content: EntryContent): boolean {
  switch (content.kind) {
    case 'component':
      return isComponentName(content.name) && content.version !== componentVersion(content.name);
    case 'image': {
      const image = parseImageReference(content.reference);
      if (image === undefined) return false;
      const tag = pinnedImageTag(`${image.registry}/${image.repository}`);
      return tag !== undefined && tag !== image.version;
    }
    case 'manifests':
    case 'other':
      return false;
  }
}

async function sizeOfStore({ directory }: ArtifactStore): Promise<number> {
  let bytes = 0;
  for (const folder of [path.join(directory, 'blobs', 'sha256'), temporaryDirectory(directory)]) {
    for (const name of await readdir(folder).catch(() => [])) {
      bytes += (await stat(path.join(folder, name))).size;
    }
  }
  return bytes;
}
