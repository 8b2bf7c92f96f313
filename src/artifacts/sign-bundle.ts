import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Header } from 'tar';
import { syncDirectory, writeFileAtomic } from '../base/files.ts';
import { readChunks } from './blobs.ts';
import { readBundleHead, signaturesFile } from './bundle-head.ts';
import { addSignature, type BundleSignature, signIndex } from './bundle-signature.ts';
import { detectFormat } from './bundle-stream.ts';
import { tarEntry } from './layout-tar.ts';
import { leadingFrame, readLeadingFrame } from './leading-frame.ts';

/**
 * Puts a signature into a bundle, beside those of other keys. An archive is replaced in one step; nothing of it is
 * compressed again.
 * @param privatePem An ed25519 key. @throws UserError for another key, and for what is no bundle.
 */
export async function signBundle(
  bundle: string,
  privatePem: string,
  signal: AbortSignal,
): Promise<BundleSignature & { readonly indexSha256: string }> {
  const what = `sign the bundle ${bundle}`;
  const head = await readBundleHead(bundle, { what, needsSignatures: true, signal });
  const signature = signIndex(head.indexSha256, privatePem);
  const signatures = addSignature(head.signatures, signature);
  if ((await stat(bundle)).isDirectory()) {
    await writeFileAtomic(path.join(bundle, signaturesFile), signatures);
  } else {
    await replaceStart(bundle, tarEntry(signaturesFile, Buffer.from(signatures)), signal);
  }
  return { ...signature, indexSha256: head.indexSha256 };
}

async function replaceStart(archive: string, entry: Buffer, signal: AbortSignal): Promise<void> {
  const { start, skippedBytes } = await planStart(archive, entry);
  const temporary = `${archive}.signing`;
  try {
    const output = createWriteStream(temporary, { flush: true });
    await pipeline(Readable.from(startThen(start, archive, skippedBytes)), output, { signal });
    await rename(temporary, archive);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(path.dirname(path.resolve(archive)));
}

/** What the archive shall begin with, and how much of its present beginning that takes the place of. */
async function planStart(
  archive: string,
  entry: Buffer,
): Promise<{ readonly start: Buffer; readonly skippedBytes: number }> {
  const begin = await readBegin(archive);
  if (detectFormat(begin) === 'tar') {
    return { start: entry, skippedBytes: signaturesBytes(begin) };
  }
  const leading = await readLeadingFrame(archive);
  const isSigned = leading !== undefined && signaturesBytes(leading.content) > 0;
  return { start: leadingFrame(entry), skippedBytes: isSigned ? leading.frameBytes : 0 };
}

const blockBytes = 512;

/** Length of the signatures with which a tar begins; 0 when it begins otherwise. */
function signaturesBytes(tar: Buffer): number {
  const header = new Header(tar, 0);
  if (header.path !== signaturesFile) return 0;
  return blockBytes + Math.ceil((header.size ?? 0) / blockBytes) * blockBytes;
}

async function readBegin(file: string): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(blockBytes), 0, blockBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function* startThen(
  start: Buffer,
  file: string,
  skippedBytes: number,
): AsyncGenerator<Uint8Array> {
  yield start;
  yield* readChunks(file, skippedBytes);
}
