import { createWriteStream } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { Header } from 'tar';
import { type BlobReference, blobPath, readChunks } from './blobs.ts';
import { parseIndex } from './oci-documents.ts';
import { layoutMarker } from './oci-layout.ts';
import { readManifest } from './store.ts';

const blockBytes = 512;

/**
 * Streams a tar of part of a layout: the marker, an index.json of one's own, and these blobs in this order.
 * The same input gives the same bytes; each blob appears once. A chunk is valid as long as `read` promises.
 */
export async function* layoutTar(
  layoutDirectory: string,
  index: string,
  blobs: readonly BlobReference[],
  read: (file: string) => AsyncIterable<Uint8Array> = readChunks,
): AsyncGenerator<Uint8Array> {
  yield* tarFile('oci-layout', Buffer.from(layoutMarker));
  yield* tarFile('index.json', Buffer.from(index));
  const sizes = new Map(blobs.map((blob) => [blob.digest, blob.size]));
  for (const [digest, size] of sizes) {
    yield tarHeader(`blobs/sha256/${digest.slice('sha256:'.length)}`, size);
    yield* read(blobPath(layoutDirectory, digest));
    yield padding(size);
  }
  yield Buffer.alloc(2 * blockBytes);
}

export interface WriteArchiveOptions {
  /** 1 to 19; without it the tar is not compressed. Above 19 a node would need too much memory to read it. */
  readonly zstdLevel?: number;
  readonly signal?: AbortSignal;
}

/**
 * Writes a layout directory as one bundle file, in the order that is read best: index, manifests, then the rest, so that
 * a node knows at once what it can pass over.
 */
export async function writeBundleArchive(
  layoutDirectory: string,
  file: string,
  options: WriteArchiveOptions = {},
): Promise<void> {
  const index = await readFile(path.join(layoutDirectory, 'index.json'), 'utf8');
  const entries = parseIndex(index, path.join(layoutDirectory, 'index.json')).manifests;
  const blobs: BlobReference[] = [...entries];
  for (const entry of entries) {
    const manifest = await readManifest(layoutDirectory, entry);
    if (manifest === undefined) throw new Error(`${layoutDirectory} lacks ${entry.digest}`);
    blobs.push(manifest.config, ...manifest.layers);
  }
  const temporary = `${file}.tmp`;
  const tar = Readable.from(layoutTar(layoutDirectory, index, blobs));
  const output = createWriteStream(temporary, { flush: true });
  const { zstdLevel } = options;
  const stop = options.signal === undefined ? {} : { signal: options.signal };
  try {
    if (zstdLevel === undefined) await pipeline(tar, output, stop);
    else await pipeline(tar, createZstdCompress(zstdOptions(zstdLevel)), output, stop);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function zstdOptions(level: number): { readonly params: Record<number, number> } {
  return {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  };
}

/** One file as it is in a tar: header, content, padding. */
export function tarEntry(name: string, content: Uint8Array): Buffer {
  return Buffer.concat([...tarFile(name, content)]);
}

function* tarFile(name: string, content: Uint8Array): Generator<Uint8Array> {
  yield tarHeader(name, content.length);
  yield content;
  yield padding(content.length);
}

function tarHeader(name: string, size: number): Uint8Array {
  const block = Buffer.alloc(blockBytes);
  const header = new Header({
    path: name,
    size,
    type: 'File',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: new Date(0),
  });
  if (header.encode(block)) throw new Error(`${name} with ${size} bytes does not fit a tar header`);
  return block;
}

function padding(size: number): Uint8Array {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}
