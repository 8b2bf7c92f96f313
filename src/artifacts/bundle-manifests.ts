import { readFile } from 'node:fs/promises';
import { blobPath } from './blobs.ts';
import { canonicalJson } from './canonical-json.ts';
import { annotations, mediaTypes } from './media-types.ts';
import { entryContent, manifestFileName } from './oci-documents.ts';
import { addBlob, compareText } from './oci-layout.ts';
import { type ArtifactStore, readManifest, readStoreIndex } from './store.ts';
import type { Descriptor, OciManifest } from './types.ts';

/** Kubernetes objects that ride along in a bundle: a stack, as its files are. */
export interface BundledStack {
  /** DNS-1123 label. */
  readonly name: string;
  readonly files: readonly { readonly name: string; readonly content: Uint8Array }[];
}

/** Writes a stack into a layout; returns its entry for an index. The same files always give the same entry. */
export async function writeBundledStack(
  directory: string,
  stack: BundledStack,
): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  for (const { name, content } of stack.files) {
    layers.push({
      mediaType: mediaTypes.manifestFile,
      ...(await addBlob(directory, content)),
      annotations: { [annotations.title]: name },
    });
  }
  const manifest: OciManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: mediaTypes.manifests,
    config: { mediaType: mediaTypes.empty, ...(await addBlob(directory, Buffer.from('{}'))) },
    layers: layers.toSorted((a, b) => compareText(titleOf(a), titleOf(b))),
  };
  return {
    mediaType: mediaTypes.manifest,
    ...(await addBlob(directory, Buffer.from(canonicalJson(manifest)))),
    artifactType: mediaTypes.manifests,
    annotations: { [annotations.refName]: `manifests/${stack.name}` },
  };
}

/** The stacks of a store, each with the digest that changes with its content. */
export async function listBundledStacks(
  store: ArtifactStore,
): Promise<readonly { readonly name: string; readonly entry: Descriptor }[]> {
  const { manifests } = await readStoreIndex(store);
  return manifests.flatMap((entry) => {
    const content = entryContent(entry);
    return content.kind === 'manifests' ? [{ name: content.name, entry }] : [];
  });
}

/** The files of a stack that the store has; undefined when it is damaged. */
export async function readBundledStack(
  store: ArtifactStore,
  { name, entry }: { readonly name: string; readonly entry: Descriptor },
): Promise<BundledStack | undefined> {
  const manifest = await readManifest(store.directory, entry);
  if (manifest === undefined) return undefined;
  const files: { readonly name: string; readonly content: Uint8Array }[] = [];
  for (const layer of manifest.layers) {
    const file = manifestFileName(layer);
    if (file === undefined) continue;
    files.push({ name: file, content: await readFile(blobPath(store.directory, layer.digest)) });
  }
  return { name, files };
}

function titleOf(layer: Descriptor): string {
  return layer.annotations?.[annotations.title] ?? '';
}
