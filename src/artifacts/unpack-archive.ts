import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { type BlobReference, copyChunkBytes, readChunks, writeBlob } from './blobs.ts';
import { createYoungCollector } from './collect-young.ts';
import { readTar } from './tar-entries.ts';
import type { WantedFile } from './upstream-files.ts';

export interface UnpackOptions {
  /** The archive: its digest was verified. */
  readonly file: string;
  readonly wanted: WantedFile;
  /** The store that gets the members as blobs. */
  readonly layoutDirectory: string;
  readonly signal: AbortSignal;
}

/**
 * Takes the wanted members out of a .tar.gz as it streams by, and nothing else.
 * @returns their blobs by name.
 * @throws UserError when one is not there, or the archive is not what it should be.
 */
export async function unpackArchive(
  options: UnpackOptions,
): Promise<ReadonlyMap<string, BlobReference>> {
  const { wanted, layoutDirectory, signal } = options;
  const what = `unpack ${wanted.description}`;
  const fix = 'this is a fault of upstream or of mini-k8s: please report it';
  const blobs = new Map<string, BlobReference>();
  await readTar(gunzipped(options.file, { what, fix }), {
    ...{ what, fix, signal },
    skipsOthers: true,
    onFile: async ({ path, content }) => {
      const member = wanted.members.find((candidate) => candidate.path === path);
      if (member === undefined) return;
      const expected = member.digest === undefined ? {} : { digest: member.digest };
      const origin = `${wanted.url}, ${path}`;
      blobs.set(
        member.name,
        await writeBlob(layoutDirectory, content, { expected, origin, signal }),
      );
    },
  });
  const missing = wanted.members.filter(({ name }) => !blobs.has(name));
  if (missing.length === 0) return blobs;
  const why = `${wanted.url} has no ${missing.map(({ path }) => path).join(', ')}`;
  throw new UserError({ what, why, fix });
}

async function* gunzipped(
  file: string,
  words: { readonly what: string; readonly fix: string },
): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: copyChunkBytes });
  const onConsumed = createYoungCollector();
  // Errors reach the reader of `stream`; the callback keeps them from being reported as unhandled.
  pipeline(Readable.from(readChunks(file)), stream, () => {});
  try {
    for await (const chunk of stream) {
      yield chunk as Uint8Array;
      onConsumed((chunk as Uint8Array).length);
    }
  } catch (error) {
    if (errorCode(error)?.startsWith('Z_') !== true) throw error;
    const why = `the compressed data is damaged or incomplete (${errorMessage(error)})`;
    throw new UserError({ ...words, why, cause: error });
  }
}
