import { open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { constants, createZstdDecompress } from 'node:zlib';
import { errorCode, UserError } from '../base/errors.ts';
import { copyChunkBytes, readChunks } from './blobs.ts';
import { readLeadingFrame } from './leading-frame.ts';

/**
 * How much a zstd frame may make us remember: 2^24 = 16 MiB, twice what `zstd -19` needs. `--ultra` and `--long`
 * ask for up to 2 GiB, which a 1 GB node does not have.
 * @see https://datatracker.ietf.org/doc/html/rfc8878#section-3.1.1.1.2
 */
const zstdWindowLogMax = 24;

export interface ArchiveOptions {
  /** Called with the number of bytes of the file that were read so far. */
  readonly onProgress: (doneBytes: number) => void;
}

/**
 * The tar stream inside a `.tar` or `.tar.zst` file. Its first bytes decide, not its name.
 * @throws UserError for another format, or when the compressed data is damaged.
 */
export async function openArchive(
  file: string,
  options: ArchiveOptions,
): Promise<AsyncIterable<Uint8Array>> {
  const format = detectFormat(await readStart(file));
  switch (format) {
    case 'tar':
      return counted(readChunks(file), options.onProgress);
    case 'zstd':
      return readFrames(file, options);
    default:
      throw new UserError({
        what: `import ${file}`,
        why:
          format === 'gzip' ? 'it is compressed with gzip' : 'it is neither a tar nor a zstd file',
        fix: 'give --bundle a directory, a .tar or a .tar.zst file',
      });
  }
}

/** @see https://datatracker.ietf.org/doc/html/rfc8878#section-3.1.1 the magic number of zstd */
export function detectFormat(start: Uint8Array): 'tar' | 'zstd' | 'gzip' | 'unknown' {
  const bytes = Buffer.from(start);
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528) return 'zstd';
  if (bytes.length >= 2 && bytes.readUInt16BE(0) === 0x1f8b) return 'gzip';
  return bytes.toString('latin1', 257, 262) === 'ustar' ? 'tar' : 'unknown';
}

async function readStart(file: string): Promise<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Node.js drops what follows the end of a frame in the same chunk: ours is taken off before. */
async function* readFrames(file: string, options: ArchiveOptions): AsyncGenerator<Uint8Array> {
  const leading = await readLeadingFrame(file);
  if (leading !== undefined) yield leading.content;
  const rest = readChunks(file, leading?.frameBytes ?? 0);
  yield* decompressed(counted(rest, options.onProgress), file);
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onProgress: (doneBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of chunks) {
    done += chunk.length;
    onProgress(done);
    yield chunk;
  }
}

async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
): AsyncGenerator<Uint8Array> {
  const stream = createZstdDecompress({
    chunkSize: copyChunkBytes,
    params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLogMax },
  });
  // Errors reach the reader of `stream`; the callback keeps them from being reported as unhandled.
  pipeline(Readable.from(chunks), stream, () => {});
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (error) {
    throw isZstdError(error) ? damaged(error, file) : error;
  }
}

function isZstdError(error: unknown): error is Error {
  const code = errorCode(error) ?? '';
  return code.startsWith('ZSTD_') || code.startsWith('Z_');
}

function damaged(error: Error, file: string): UserError {
  const needsMemory = errorCode(error) === 'ZSTD_error_frameParameter_windowTooLarge';
  return new UserError({
    what: `import ${file}`,
    why: needsMemory
      ? `its zstd compression needs more than ${2 ** (zstdWindowLogMax - 20)} MiB of memory to read`
      : `the compressed data is damaged or incomplete (${error.message})`,
    fix: needsMemory
      ? 'compress it again with zstd -19 or less, without --ultra and --long'
      : 'copy the bundle again and compare its checksum with that of the original',
    cause: error,
  });
}
