import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { blobPath, hashBytes } from '../../src/artifacts/blobs.ts';
import { mediaTypes } from '../../src/artifacts/media-types.ts';
import {
  createLayoutWriter,
  type ImageContent,
  writeIndex,
} from '../../src/artifacts/oci-layout.ts';
import type { Architecture, Descriptor, OciIndex } from '../../src/artifacts/types.ts';
import { readTextIfExists } from '../../src/base/files.ts';
import { createTemporaryDirectory, linkOrCopy, renameOver } from '../components/component-cache.ts';
import type { BuiltLayer } from './provide-layer.ts';

/** An image of the suite whose layers are made. */
export interface SuiteImageContent {
  readonly reference: string;
  /** Lowest first. */
  readonly layers: readonly BuiltLayer[];
  readonly config: Readonly<Record<string, unknown>>;
}

export interface SuiteBundleContent {
  readonly arch: Architecture;
  /** The components' bundle, a directory. */
  readonly components: string;
  readonly images: readonly SuiteImageContent[];
}

/**
 * Puts a bundle at `directory` that has everything of the components' bundle and the suite's images, which ride
 * along. Blobs are hard links, so it costs next to no disk. Returns the sha256 of its index.json in hex.
 */
export async function writeSuiteBundle(
  content: SuiteBundleContent,
  directory: string,
): Promise<string> {
  await mkdir(path.dirname(directory), { recursive: true });
  const temporary = await createTemporaryDirectory({ directory: path.dirname(directory) });
  try {
    const indexSha256 = await writeLayout(content, temporary);
    // A cluster may be reading the one that is there.
    if ((await indexSha256Of(directory)) !== indexSha256) await renameOver(temporary, directory);
    return indexSha256;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function indexSha256Of(directory: string): Promise<string | undefined> {
  const index = await readTextIfExists(path.join(directory, 'index.json'));
  if (index === undefined) return undefined;
  return hashBytes(Buffer.from(index)).digest.slice('sha256:'.length);
}

async function writeLayout(content: SuiteBundleContent, directory: string): Promise<string> {
  const { arch, components, images } = content;
  const writer = await createLayoutWriter(directory);
  const blobs = path.join('blobs', 'sha256');
  for (const name of await readdir(path.join(components, blobs))) {
    await linkOrCopy(path.join(components, blobs, name), path.join(directory, blobs, name));
  }
  const entries: Descriptor[] = [];
  for (const { reference, layers, config } of images) {
    for (const { file, blob } of layers) await linkOrCopy(file, blobPath(directory, blob.digest));
    const image: ImageContent = {
      ...{ reference, arch, config },
      layers: layers.map(({ blob, diffId }) => ({
        ...{ blob, diffId, mediaType: mediaTypes.layerTarZstd },
      })),
    };
    entries.push(await writer.addImage(image));
  }
  await writer.finish();
  const text = await readFile(path.join(components, 'index.json'), 'utf8');
  const { manifests } = JSON.parse(text) as OciIndex;
  return (await writeIndex(directory, [...manifests, ...entries])).indexSha256;
}
