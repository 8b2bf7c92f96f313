import { existsSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { blobPath, hashBytes } from '../../src/artifacts/blobs.ts';
import { mediaTypes } from '../../src/artifacts/media-types.ts';
import { createLayoutWriter, type ImageLayer } from '../../src/artifacts/oci-layout.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import { readTextIfExists, writeFileAtomic } from '../../src/base/files.ts';
import { createTemporaryDirectory, linkOrCopy, renameOver } from './component-cache.ts';

/** A component that is ready to go into a bundle. */
export interface BuiltComponent {
  readonly name: string;
  readonly version: string;
  readonly hash: string;
  /** `file` is absolute; `digest` is `sha256:…` of it. */
  readonly executables: readonly {
    readonly name: string;
    readonly file: string;
    readonly digest: string;
    readonly size: number;
  }[];
}

/** An image that is ready to go into a bundle. */
export interface BuiltImage {
  readonly name: string;
  readonly reference: string;
  readonly hash: string;
  /** Absolute path of the zstd-compressed layer. */
  readonly layerFile: string;
  readonly layer: { readonly digest: string; readonly size: number };
  readonly diffId: string;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface BundleContent {
  readonly arch: Architecture;
  readonly components: readonly BuiltComponent[];
  readonly images: readonly BuiltImage[];
}

export interface WrittenBundle {
  readonly directory: string;
  /** Of its index.json, in hex: what `--trust-bundle` takes. Also in the file `<directory>.sha256`. */
  readonly indexSha256: string;
  readonly sizeBytes: number;
  readonly isNew: boolean;
}

/**
 * Puts an OCI image layout with this content at `directory`, unless it is there already. Blobs are hard links to
 * the cache where the file system allows, so a bundle costs next to no disk.
 */
export async function writeBundle(
  content: BundleContent,
  directory: string,
): Promise<WrittenBundle> {
  const stamp = `${directory}.sha256`;
  const inputs = hashInputs(content);
  const known = await indexHash(directory);
  if (known !== undefined && (await readTextIfExists(stamp)) === renderStamp(known, inputs)) {
    const sizeBytes = await sizeOfBlobs(directory);
    return { directory, indexSha256: known, sizeBytes, isNew: false };
  }
  await mkdir(path.dirname(directory), { recursive: true });
  // Beside the target, not in the cache: a rename does not cross file systems.
  const temporary = await createTemporaryDirectory({ directory: path.dirname(directory) });
  try {
    const indexSha256 = await writeLayout(content, temporary);
    await renameOver(temporary, directory);
    await writeFileAtomic(stamp, renderStamp(indexSha256, inputs));
    return { directory, indexSha256, sizeBytes: await sizeOfBlobs(directory), isNew: true };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Writes the layout into an empty directory; returns the sha256 of its index.json in hex. */
export async function writeLayout(content: BundleContent, directory: string): Promise<string> {
  const writer = await createLayoutWriter(directory);
  for (const { name, version, executables } of content.components) {
    // A blob that is there already is kept by the writer: link first, and nothing is copied.
    for (const { file, digest } of executables) await linkOrCopy(file, blobPath(directory, digest));
    await writer.addComponent({
      name,
      version,
      arch: content.arch,
      builtFrom: 'source',
      executables,
    });
  }
  for (const image of content.images) {
    await linkOrCopy(image.layerFile, blobPath(directory, image.layer.digest));
    const layer: ImageLayer = {
      blob: image.layer,
      mediaType: mediaTypes.layerTarZstd,
      diffId: image.diffId,
    };
    const { reference, config } = image;
    await writer.addImage({ reference, arch: content.arch, layers: [layer], config });
  }
  return (await writer.finish()).indexSha256;
}

/** The first word is for other programs, the last says what the bundle was made from. */
function renderStamp(indexSha256: string, inputs: string): string {
  return `${indexSha256}  index.json  ${inputs}\n`;
}

function hashInputs(content: BundleContent): string {
  const inputs = [...content.components, ...content.images].map(
    ({ name, hash }) => `${name} ${hash}`,
  );
  return hashBytes(Buffer.from(JSON.stringify([content.arch, inputs.sort()]))).digest;
}

async function indexHash(directory: string): Promise<string | undefined> {
  const file = path.join(directory, 'index.json');
  if (!existsSync(file)) return undefined;
  return hashBytes(await readFile(file)).digest.slice('sha256:'.length);
}

async function sizeOfBlobs(directory: string): Promise<number> {
  const blobs = path.join(directory, 'blobs', 'sha256');
  const names = await readdir(blobs);
  const sizes = await Promise.all(
    names.map(async (name) => (await lstat(path.join(blobs, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
