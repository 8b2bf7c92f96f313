import { open } from 'node:fs/promises';

/**
 * A zstd frame of one block that is not compressed. In front of an archive it adds a file to it without compressing
 * hundreds of megabytes again: frames behind one another are one stream, to this and all other zstd programs.
 *
 *     magic 4 | descriptor 1: single segment, size in 4 bytes | size 4 | block header 3: last, raw, length | content
 *
 * @see https://datatracker.ietf.org/doc/html/rfc8878#section-3.1.1
 */
export function leadingFrame(content: Uint8Array): Buffer {
  if (content.length > maxContentBytes) throw new Error(`${content.length} bytes are too many`);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(magic, 0);
  header[4] = descriptor;
  header.writeUInt32LE(content.length, 5);
  header.writeUIntLE(content.length * 8 + 1, 9, 3);
  return Buffer.concat([header, content]);
}

/** The frame of that kind with which a file begins; undefined when it begins otherwise. */
export async function readLeadingFrame(
  file: string,
): Promise<{ readonly content: Buffer; readonly frameBytes: number } | undefined> {
  const handle = await open(file, 'r');
  try {
    const start = Buffer.alloc(headerBytes + maxContentBytes);
    const { bytesRead } = await handle.read(start, 0, start.length, 0);
    const size = start.readUInt32LE(5);
    const isOurs =
      start.readUInt32LE(0) === magic &&
      start[4] === descriptor &&
      start.readUIntLE(9, 3) === size * 8 + 1;
    if (!isOurs || bytesRead < headerBytes + size) return undefined;
    const frameBytes = headerBytes + size;
    return { content: start.subarray(headerBytes, frameBytes), frameBytes };
  } finally {
    await handle.close();
  }
}

const magic = 0xfd2fb528;

/** Single segment, content size in four bytes, no checksum, no dictionary. */
const descriptor = 0xa0;

const headerBytes = 12;

/** The largest block of zstd is 128 KiB; what goes in here has some hundred bytes. */
const maxContentBytes = 64 * 1024;
