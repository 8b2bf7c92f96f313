import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { type BlobReference, readReusedChunks } from './blobs.ts';
import { canonicalJson } from './canonical-json.ts';
import { runTool } from './child-tool.ts';
import { annotations } from './media-types.ts';
import { renderIndex } from './oci-layout.ts';
import { type ArtifactStore, findImage } from './store.ts';
import type { ArtifactEvent, Descriptor, ImageArtifact } from './types.ts';

export interface EnsureImagesOptions {
  readonly store: ArtifactStore;
  readonly containerd: {
    /** Absolute path of its gRPC socket. */
    readonly socket: string;
    /** Absolute path of the `ctr` that belongs to this containerd. */
    readonly ctr: string;
    /** containerd's `root`: its file system is synced before an import counts as done. */
    readonly root: string;
  };
  /** Remembers the digest of each imported image; made when it does not exist. */
  readonly stateFile: string;
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly signal: AbortSignal;
}

/** What the import is bounded by: 250 MB on the slowest SD cards (2 MB/s) with room to spare. */
const importTimeoutMs = 15 * 60_000;
const listTimeoutMs = 60_000;

/**
 * The label by which the CRI plugin reports an image as pinned, so that kubelet's image garbage collection leaves it.
 * @see https://github.com/containerd/containerd/blob/v2.3.6/internal/cri/labels/labels.go
 */
const pinnedLabel = { key: 'io.cri-containerd.pinned', value: 'pinned' };

/**
 * Imports images from the store into containerd's `k8s.io` namespace, all in one call, unpacked and pinned.
 * An image is imported again when its digest in the store changed or containerd no longer has it; otherwise one
 * `ctr images ls` is all that happens. Images that the store lacks are passed over. One that was imported and is not
 * asked for any more is left to kubelet, which removes it when the disk is full and no pod has it.
 * @returns the references that were imported.
 * @throws UserError with containerd's words when it refuses.
 */
export async function ensureImages(
  images: readonly ImageArtifact[],
  options: EnsureImagesOptions,
): Promise<readonly string[]> {
  const stored = await findStored(images, options.store);
  const imported = await readState(options.stateFile);
  const wanted = new Set(images.map(({ reference }) => reference));
  const old = Object.keys(imported).filter((reference) => !wanted.has(reference));
  if (stored.length === 0 && old.length === 0) return [];
  const present = await listImages(options);
  if (old.length > 0) await unpinImages(old, present, { ...options, imported });
  const missing = stored.filter(
    ({ reference, entry }) => !present.has(reference) || imported[reference] !== entry.digest,
  );
  if (missing.length === 0) return [];
  const startedAt = performance.now();
  await importImages(missing, options);
  for (const { reference, entry } of missing) imported[reference] = entry.digest;
  await writeFileAtomic(options.stateFile, canonicalJson({ images: imported }));
  const references = missing.map(({ reference }) => reference);
  options.onEvent({
    type: 'images-imported',
    references,
    elapsedMs: Math.round(performance.now() - startedAt),
  });
  return references;
}

async function unpinImages(
  references: readonly string[],
  present: ReadonlySet<string>,
  options: EnsureImagesOptions & { readonly imported: Record<string, string> },
): Promise<void> {
  const { imported } = options;
  for (const reference of references) {
    if (present.has(reference)) {
      await runTool(options.containerd.ctr, {
        // A label without a value is none.
        args: [...ctrArgs(options), 'images', 'label', reference, `${pinnedLabel.key}=`],
        purpose: `leave ${reference} to kubelet`,
        timeoutMs: listTimeoutMs,
        signal: options.signal,
      });
    }
    delete imported[reference];
  }
  await writeFileAtomic(options.stateFile, canonicalJson({ images: imported }));
}

interface StoredImage {
  readonly reference: string;
  readonly entry: Descriptor;
  readonly blobs: readonly BlobReference[];
}

async function findStored(
  images: readonly ImageArtifact[],
  store: ArtifactStore,
): Promise<readonly StoredImage[]> {
  const stored: StoredImage[] = [];
  for (const { reference, arch } of images) {
    const image = await findImage(store, reference, arch);
    if (image !== undefined) stored.push({ reference, ...image });
  }
  return stored;
}

async function listImages(options: EnsureImagesOptions): Promise<ReadonlySet<string>> {
  const { stdout } = await runTool(options.containerd.ctr, {
    args: [...ctrArgs(options), 'images', 'list', '--quiet'],
    purpose: 'list the images of containerd',
    timeoutMs: listTimeoutMs,
    signal: options.signal,
  });
  return new Set(stdout.split('\n').filter((line) => line !== ''));
}

async function importImages(
  images: readonly StoredImage[],
  options: EnsureImagesOptions,
): Promise<void> {
  const { store, containerd, signal } = options;
  const { layoutTar } = await import('./layout-tar.ts');
  const purpose = `import ${images.map(({ reference }) => reference).join(', ')}`;
  await runTool(containerd.ctr, {
    // Locally, not by the transfer service: half the CPU time, and only there layers can be dropped once unpacked.
    args: [
      ...ctrArgs(options),
      'images',
      'import',
      '--local',
      '--discard-unpacked-layers',
      '--sync-fs',
      '--label',
      `${pinnedLabel.key}=${pinnedLabel.value}`,
      '-',
    ],
    input: layoutTar(store.directory, importIndex(images), smallFirst(images), readReusedChunks),
    purpose,
    timeoutMs: importTimeoutMs,
    signal,
  });
  // Node.js has no syncfs. Without it a power cut may leave layers with empty files behind our mark.
  const args = ['-f', containerd.root];
  await runTool('sync', { args, purpose, timeoutMs: importTimeoutMs, signal });
}

function ctrArgs(options: EnsureImagesOptions): readonly string[] {
  return ['--address', options.containerd.socket, '--namespace', 'k8s.io'];
}

/** The entries under the names that pods use, whatever tool wrote the bundle. */
function importIndex(images: readonly StoredImage[]): string {
  return renderIndex(
    images.map(({ reference, entry }) => ({
      ...entry,
      annotations: { ...entry.annotations, [annotations.containerdImageName]: reference },
    })),
  );
}

function smallFirst(images: readonly StoredImage[]): readonly BlobReference[] {
  return images.flatMap(({ blobs }) => blobs).toSorted((a, b) => a.size - b.size);
}

/** The marks of earlier imports; a damaged file counts as none, and everything is imported once more. */
async function readState(file: string): Promise<Record<string, string>> {
  const text = await readTextIfExists(file);
  try {
    const state = JSON.parse(text ?? '{}') as { images?: Record<string, string> };
    return { ...state.images };
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
