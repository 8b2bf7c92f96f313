import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  blobPath,
  copyChunkBytes,
  partialPath,
  readReusedChunks,
  temporaryDirectory,
} from './blobs.ts';

/**
 * The beginning of one blob, on disk under its digest, so that a new process goes on where an earlier one ended.
 * Not visible in the store before its whole content has that digest.
 */
export interface PartialBlob {
  /** Bytes that are there, also those not written yet. */
  size(): number;
  /** The most that it ever had: a server that begins anew each time wins nothing. */
  highestSize(): number;
  /** Whose bytes it has; `earlier` for those of another process. Empty when it has none. */
  origins(): ReadonlySet<string>;
  /** Copies the bytes. @returns what must be awaited before the next ones, when they must be written first. */
  append(chunk: Uint8Array, origin: string): Promise<void> | undefined;
  /** Writes what is in memory: the connection ended, and perhaps this process will. */
  flush(): Promise<void>;
  restart(): Promise<void>;
  /** Makes it a blob of the store when it has the digest. @returns whether it has. */
  finish(): Promise<boolean>;
  /** Leaves the file for the next time, if there is anything in it. */
  close(): Promise<void>;
}

export async function openPartial(
  layoutDirectory: string,
  blob: { readonly digest: string; readonly size?: number },
): Promise<PartialBlob> {
  const file = partialPath(layoutDirectory, blob.digest);
  await mkdir(temporaryDirectory(layoutDirectory), { recursive: true });
  const handle = await open(file, 'a', 0o644);
  let hash = createHash('sha256');
  let written = 0;
  let highest = 0;
  const origins = new Set<string>();
  // Chunks of TLS are 16 KiB: gathered, so that a slow disk gets few and large writes.
  const buffer = Buffer.allocUnsafeSlow(copyChunkBytes);
  let buffered = 0;

  const highestSize = () => Math.max(highest, written + buffered);
  const restart = async () => {
    highest = highestSize();
    await handle.truncate(0);
    hash = createHash('sha256');
    written = 0;
    buffered = 0;
    origins.clear();
  };
  const flush = async () => {
    const chunk = buffer.subarray(0, buffered);
    buffered = 0;
    hash.update(chunk);
    await handle.writeFile(chunk);
    written += chunk.length;
  };
  const append = (chunk: Uint8Array, origin: string): Promise<void> | undefined => {
    origins.add(origin);
    const part = chunk.subarray(0, buffer.length - buffered);
    buffer.set(part, buffered);
    buffered += part.length;
    if (buffered < buffer.length) return undefined;
    return flush().then(() => {
      const rest = chunk.subarray(part.length);
      return rest.length === 0 ? undefined : append(rest, origin);
    });
  };
  const finish = async () => {
    await flush();
    if (`sha256:${hash.copy().digest('hex')}` !== blob.digest) return false;
    await handle.sync();
    const target = blobPath(layoutDirectory, blob.digest);
    await mkdir(path.dirname(target), { recursive: true });
    await rename(file, target);
    return true;
  };

  try {
    for await (const chunk of readReusedChunks(file)) {
      hash.update(chunk);
      written += chunk.length;
      origins.add('earlier');
    }
    if (blob.size !== undefined && written > blob.size) await restart();
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    ...{ append, flush, restart, finish, highestSize },
    size: () => written + buffered,
    origins: () => origins,
    close: async () => {
      await handle.close();
      if (written + buffered === 0) await rm(file, { force: true });
    },
  };
}
