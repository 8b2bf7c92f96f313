import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { Header } from 'tar';
import { type BlobReference, copyChunkBytes } from '../../src/artifacts/blobs.ts';

/** One member of a tar. `path` is relative, without a trailing slash; owner is root, times are the epoch. */
export type TarEntry =
  | { readonly type: 'directory'; readonly path: string; readonly mode: number }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly type: 'file';
      readonly path: string;
      readonly mode: number;
      readonly size: number;
      /** Text, or the path of a file of exactly `size` bytes. */
      readonly content: string | { readonly file: string };
    };

const blockBytes = 512;
/** One second per image; level 19 takes half a minute and saves 2 %. Reading costs the same at any level. */
export const zstdLevel = 9;

/** Entries with their parent directories (0755), sorted, so that the same files always make the same tar. */
export function completeEntries(entries: readonly TarEntry[]): readonly TarEntry[] {
  const byPath = new Map<string, TarEntry>();
  for (const entry of entries) {
    for (const parent of parentsOf(entry.path)) {
      if (!byPath.has(parent)) byPath.set(parent, { type: 'directory', path: parent, mode: 0o755 });
    }
    byPath.set(entry.path, entry);
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function parentsOf(entryPath: string): readonly string[] {
  const parts = entryPath.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}

/** The bytes of a tar with these entries, in this order. */
export async function* renderTar(entries: readonly TarEntry[]): AsyncGenerator<Uint8Array> {
  for (const entry of entries) {
    yield renderHeader(entry);
    if (entry.type !== 'file') continue;
    let size = 0;
    for await (const chunk of contentOf(entry.content)) {
      size += chunk.length;
      yield chunk;
    }
    if (size !== entry.size) throw new Error(`${entry.path} has ${size} bytes, not ${entry.size}`);
    yield new Uint8Array((blockBytes - (size % blockBytes)) % blockBytes);
  }
  yield new Uint8Array(2 * blockBytes);
}

async function* contentOf(content: string | { readonly file: string }): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield Buffer.from(content);
  else yield* createReadStream(content.file, { highWaterMark: copyChunkBytes });
}

function renderHeader(entry: TarEntry): Uint8Array {
  const header = new Header({
    path: entry.type === 'directory' ? `${entry.path}/` : entry.path,
    mode: entry.type === 'symlink' ? 0o777 : entry.mode,
    uid: 0,
    gid: 0,
    size: entry.type === 'file' ? entry.size : 0,
    mtime: new Date(0),
    type: tarTypes[entry.type],
    uname: 'root',
    gname: 'root',
    ...(entry.type === 'symlink' ? { linkpath: entry.target } : {}),
  });
  const block = Buffer.alloc(blockBytes);
  if (header.encode(block, 0)) throw new Error(`${entry.path} is too long for a plain tar header`);
  return block;
}

const tarTypes = { directory: 'Directory', symlink: 'SymbolicLink', file: 'File' } as const;

export interface WrittenLayer {
  readonly blob: BlobReference;
  /** Digest of the tar before compression. */
  readonly diffId: string;
}

/** Writes a zstd-compressed tar; memory use does not depend on its size. */
export async function writeLayer(
  file: string,
  entries: readonly TarEntry[],
  signal: AbortSignal,
): Promise<WrittenLayer> {
  const plain = createHash('sha256');
  const compressed = createHash('sha256');
  let size = 0;
  await pipeline(
    Readable.from(renderTar(completeEntries(entries)), { objectMode: false }),
    watch(plain),
    createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: zstdLevel } }),
    watch(compressed, (bytes) => {
      size += bytes;
    }),
    createWriteStream(file, { flush: true }),
    { signal },
  );
  return { blob: { digest: digestOf(compressed), size }, diffId: digestOf(plain) };
}

function watch(hash: Hash, onBytes: (bytes: number) => void = () => {}): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
}

function digestOf(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`;
}
