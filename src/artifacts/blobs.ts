import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, UserError } from '../base/errors.ts';

/** What identifies a blob in a layout. */
export interface BlobReference {
  /** `sha256:<64 hex digits>`. */
  readonly digest: string;
  readonly size: number;
}

/** Large enough that a 100 MB executable is not a hundred thousand calls, small enough for a 1 GB node. */
export const copyChunkBytes = 256 * 1024;

/** Absolute path of a blob in a layout directory. */
export function blobPath(layoutDirectory: string, digest: string): string {
  return path.join(layoutDirectory, 'blobs', 'sha256', digest.slice('sha256:'.length));
}

/** Where a blob is written before its content is verified; see `clearTemporary`. */
export function temporaryDirectory(layoutDirectory: string): string {
  return path.join(layoutDirectory, 'tmp');
}

/** The beginning of a blob that is being downloaded: unverified, and named after what it shall become. */
export function partialPath(layoutDirectory: string, digest: string): string {
  const name = `partial-${digest.slice('sha256:'.length)}`;
  return path.join(temporaryDirectory(layoutDirectory), name);
}

/** How many bytes are there of a blob that is being downloaded. */
export async function sizeOfPartial(layoutDirectory: string, digest: string): Promise<number> {
  try {
    return (await stat(partialPath(layoutDirectory, digest))).size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

/**
 * Removes unverified content that nothing goes on with. The beginnings of downloads stay, since over a bad link they
 * are hours of work; of them only those that `isNeeded` denies are removed.
 */
export async function clearTemporary(
  layoutDirectory: string,
  isNeeded: (digest: string) => boolean,
): Promise<void> {
  const directory = temporaryDirectory(layoutDirectory);
  try {
    for (const name of await readdir(directory)) {
      const hex = /^partial-([0-9a-f]{64})(?:\.mark)?$/.exec(name)?.[1];
      if (hex !== undefined && isNeeded(`sha256:${hex}`)) continue;
      await rm(path.join(directory, name), { recursive: true, force: true });
    }
    await rmdir(directory);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY'].includes(errorCode(error) ?? '')) throw error;
  }
}

/**
 * Whether the layout holds the blob. The content was verified before the rename that made the blob visible,
 * so its size is enough here; `verifyStore` reads it all again.
 */
export async function hasBlob(layoutDirectory: string, blob: BlobReference): Promise<boolean> {
  try {
    const found = await stat(blobPath(layoutDirectory, blob.digest));
    return found.isFile() && found.size === blob.size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

export interface WriteBlobOptions {
  /** What the content must be; without it any content is taken under its own digest. */
  readonly expected?: Partial<BlobReference>;
  /** For messages: `/media/usb/bundle.tar.zst`. */
  readonly origin: string;
  readonly signal?: AbortSignal;
}

/**
 * Streams content into the layout: temporary file, sha256 on the way, fsync, rename. Memory use does not
 * depend on the size. The directory entry is durable after the next fsync of `blobs/sha256`.
 * @throws UserError when the content is not what was expected; nothing stays behind then.
 */
export async function writeBlob(
  layoutDirectory: string,
  content: AsyncIterable<Uint8Array>,
  options: WriteBlobOptions,
): Promise<BlobReference> {
  const temporary = path.join(
    temporaryDirectory(layoutDirectory),
    `blob-${randomBytes(8).toString('hex')}`,
  );
  await mkdir(path.dirname(temporary), { recursive: true });
  try {
    const blob = await writeAndHash(temporary, content, options);
    requireExpected(blob, options);
    const target = blobPath(layoutDirectory, blob.digest);
    await mkdir(path.dirname(target), { recursive: true });
    await rename(temporary, target);
    return blob;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The digest and size of a file's content, read in chunks. */
export async function hashFile(file: string, signal?: AbortSignal): Promise<BlobReference> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of readReusedChunks(file)) {
    signal?.throwIfAborted();
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}

/** A file's content from an offset, in chunks of `copyChunkBytes`; opened when the first chunk is asked for. */
export async function* readChunks(file: string, start = 0): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(file, { start, highWaterMark: copyChunkBytes })) {
    yield chunk as Uint8Array;
  }
}

/**
 * Like `readChunks`, into one buffer: a chunk is valid until the next one is asked for. For consumers that are done
 * with each chunk by then; it keeps hundreds of megabytes of garbage out of a small node's heap.
 */
export async function* readReusedChunks(file: string): AsyncGenerator<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    const buffer = Buffer.allocUnsafeSlow(copyChunkBytes);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** The digest and size of bytes in memory. */
export function hashBytes(content: Uint8Array): BlobReference {
  return {
    digest: `sha256:${createHash('sha256').update(content).digest('hex')}`,
    size: content.length,
  };
}

async function writeAndHash(
  file: string,
  content: AsyncIterable<Uint8Array>,
  options: WriteBlobOptions,
): Promise<BlobReference> {
  const hash = createHash('sha256');
  let size = 0;
  const handle = await open(file, 'wx', 0o644);
  try {
    for await (const chunk of content) {
      options.signal?.throwIfAborted();
      hash.update(chunk);
      await handle.writeFile(chunk);
      size += chunk.length;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}

function requireExpected(actual: BlobReference, options: WriteBlobOptions): void {
  const { digest, size } = options.expected ?? {};
  const what = `import blob ${digest ?? actual.digest} from ${options.origin}`;
  const fix = 'copy the bundle again and compare its checksum with that of the original';
  if (size !== undefined && size !== actual.size) {
    throw new UserError({
      what,
      why: `expected ${size} bytes, got ${actual.size}`,
      fix,
    });
  }
  if (digest !== undefined && digest !== actual.digest) {
    throw new UserError({
      what,
      why: `its content has ${actual.digest}`,
      fix,
    });
  }
}
