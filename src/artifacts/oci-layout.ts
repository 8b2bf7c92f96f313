import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory, writeFileAtomic } from '../base/files.ts';
import {
  type BlobReference,
  hasBlob,
  hashBytes,
  hashFile,
  readReusedChunks,
  temporaryDirectory,
  writeBlob,
} from './blobs.ts';
import { canonicalJson } from './canonical-json.ts';
import { annotations, type BuiltFrom, mediaTypes } from './media-types.ts';
import type { Architecture, Descriptor, OciIndex, OciManifest } from './types.ts';

/** Content of the `oci-layout` file. */
export const layoutMarker = '{"imageLayoutVersion":"1.0.0"}';

export interface ComponentContent {
  /** `kubernetes`, `etcd`, … as in assets/artifacts.json. */
  readonly name: string;
  /** Without a leading v. */
  readonly version: string;
  readonly arch: Architecture;
  readonly builtFrom: BuiltFrom;
  /** `name` becomes the layer's title; `file` is a path to the executable. */
  readonly executables: readonly { readonly name: string; readonly file: string }[];
}

export interface ImageContent {
  /** Full reference with registry and tag: `registry.k8s.io/pause:3.10.2`. */
  readonly reference: string;
  readonly arch: Architecture;
  /** Lowest first. */
  readonly layers: readonly ImageLayer[];
  /** The `config` object of the image configuration: Entrypoint, Cmd, Env, User, WorkingDir, Labels. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface ImageLayer {
  /** From `addBlob` or `addBlobFromFile`: a tar, or a compressed one with `mediaType` and `diffId`. */
  readonly blob: BlobReference;
  /** Default: an uncompressed tar. */
  readonly mediaType?: string;
  /** Digest of the uncompressed tar; needed only when the blob is compressed. */
  readonly diffId?: string;
}

/** Builds an OCI image layout directory; nothing is visible in it until `finish`. */
export interface LayoutWriter {
  addBlob(content: Uint8Array): Promise<BlobReference>;
  addBlobFromFile(file: string): Promise<BlobReference>;
  /** Adds executables of one component for one architecture; returns its index entry. */
  addComponent(component: ComponentContent): Promise<Descriptor>;
  addImage(image: ImageContent): Promise<Descriptor>;
  /** Writes index.json; returns its sha256 in hex, which `--trust-bundle` takes. */
  finish(): Promise<{ readonly indexSha256: string }>;
}

/**
 * Opens a directory for writing; made when it does not exist. The same input gives the same bytes in every file.
 * Blobs that are there already are kept, index.json is replaced by `finish`.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
export async function createLayoutWriter(directory: string): Promise<LayoutWriter> {
  await mkdir(path.join(directory, 'blobs', 'sha256'), { recursive: true });
  await writeFileAtomic(path.join(directory, 'oci-layout'), layoutMarker);
  const entries: Descriptor[] = [];
  const add = async (entry: Promise<Descriptor>) => {
    entries.push(await entry);
    return entry;
  };
  return {
    addBlob: (content) => addBlob(directory, content),
    addBlobFromFile: (file) => addBlobFromFile(directory, file),
    addComponent: (component) => add(addComponent(directory, component)),
    addImage: (image) => add(addImage(directory, image)),
    finish: async () => {
      await rm(temporaryDirectory(directory), { recursive: true, force: true });
      return await writeIndex(directory, entries);
    },
  };
}

/** What is said of a component besides its executables. */
export interface ComponentDescription extends Omit<ComponentContent, 'executables'> {
  /** Of executables, whose blobs are there already. */
  readonly layers: readonly Descriptor[];
}

/** Writes a component's manifest into a layout; returns its entry for an index. */
export async function writeComponentManifest(
  directory: string,
  component: ComponentDescription,
): Promise<Descriptor> {
  const manifest: OciManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: mediaTypes.component,
    config: { mediaType: mediaTypes.empty, ...(await addBlob(directory, Buffer.from('{}'))) },
    layers: component.layers.toSorted((a, b) => compareText(layerTitle(a), layerTitle(b))),
  };
  return {
    mediaType: mediaTypes.manifest,
    ...(await addBlob(directory, Buffer.from(canonicalJson(manifest)))),
    artifactType: mediaTypes.component,
    platform: { os: 'linux', architecture: component.arch },
    annotations: {
      [annotations.refName]: `${component.name}:${component.version}`,
      [annotations.builtFrom]: component.builtFrom,
    },
  };
}

/** Replaces a layout's index.json in one step, entries sorted; returns the sha256 of the file in hex. */
export async function writeIndex(
  directory: string,
  entries: readonly Descriptor[],
): Promise<{ readonly indexSha256: string }> {
  const content = renderIndex(entries);
  await syncDirectory(path.join(directory, 'blobs', 'sha256'));
  await writeFileAtomic(path.join(directory, 'index.json'), content);
  return { indexSha256: hashBytes(Buffer.from(content)).digest.slice('sha256:'.length) };
}

/** The one text that these entries have as an index.json. */
export function renderIndex(entries: readonly Descriptor[]): string {
  const index: OciIndex = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: entries.toSorted((a, b) => compareText(entryKey(a), entryKey(b))),
  };
  return canonicalJson(index);
}

/** Names what an entry is: two entries with one key are two contents for one name, and the later replaces the earlier. */
export function entryKey(entry: Descriptor): string {
  const platform = `${entry.platform?.os ?? ''}/${entry.platform?.architecture ?? ''}`;
  return `${entry.artifactType ?? 'image'} ${entry.annotations?.[annotations.refName] ?? entry.digest} ${platform}`;
}

async function addComponent(directory: string, component: ComponentContent): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  for (const executable of component.executables) {
    layers.push({
      mediaType: mediaTypes.executable,
      ...(await addBlobFromFile(directory, executable.file)),
      annotations: { [annotations.title]: executable.name },
    });
  }
  return await writeComponentManifest(directory, { ...component, layers });
}

async function addImage(directory: string, image: ImageContent): Promise<Descriptor> {
  const config = {
    architecture: image.arch,
    os: 'linux',
    config: image.config,
    rootfs: { type: 'layers', diff_ids: image.layers.map(diffIdOf) },
  };
  const manifest: OciManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {
      mediaType: mediaTypes.imageConfig,
      ...(await addBlob(directory, Buffer.from(canonicalJson(config)))),
    },
    layers: image.layers.map((layer) => ({
      mediaType: layer.mediaType ?? mediaTypes.layerTar,
      ...layer.blob,
    })),
  };
  return {
    mediaType: mediaTypes.manifest,
    ...(await addBlob(directory, Buffer.from(canonicalJson(manifest)))),
    platform: { os: 'linux', architecture: image.arch },
    annotations: {
      [annotations.refName]: image.reference,
      [annotations.containerdImageName]: image.reference,
    },
  };
}

function diffIdOf(layer: ImageLayer): string {
  if (layer.diffId !== undefined) return layer.diffId;
  if ((layer.mediaType ?? mediaTypes.layerTar) === mediaTypes.layerTar) return layer.blob.digest;
  throw new Error(`A compressed layer needs its diffId: ${layer.blob.digest}`);
}

/** Puts bytes into a layout under their digest, unless they are there. */
export async function addBlob(directory: string, content: Uint8Array): Promise<BlobReference> {
  const blob = hashBytes(content);
  if (await hasBlob(directory, blob)) return blob;
  return await writeBlob(directory, once(content), { expected: blob, origin: 'memory' });
}

async function addBlobFromFile(directory: string, file: string): Promise<BlobReference> {
  const blob = await hashFile(file);
  if (await hasBlob(directory, blob)) return blob;
  return await writeBlob(directory, readReusedChunks(file), { expected: blob, origin: file });
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

function layerTitle(layer: Descriptor): string {
  return layer.annotations?.[annotations.title] ?? '';
}

/** For an order that does not depend on the language of the machine. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
