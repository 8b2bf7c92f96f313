import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorCode } from '../base/errors.ts';
import type { Peer } from '../base/http-route.ts';
import type { Logger } from '../base/logger.ts';
import { blobPath } from './blobs.ts';
import type { RegistryCatalog } from './registry-catalog.ts';
import { type ByteRange, parseRange, type RegistryRefusal, refuse } from './registry-request.ts';
import { contentHeaders, sendBytes, sendRefusal } from './registry-response.ts';
import type { DownloadSlots } from './registry-slots.ts';
import type { ArtifactStore } from './store.ts';

/** Read, sent and read again: what one download costs in memory. */
const bufferBytes = 64 * 1024;

/** Clients add their own jitter to it. */
const retryAfterSeconds = 2;

/** What sending a blob takes. */
export interface BlobContext {
  readonly store: ArtifactStore;
  readonly logger: Logger;
  readonly stallMs: number;
  readonly readCatalog: () => Promise<RegistryCatalog>;
  readonly slots: DownloadSlots;
  /** Free ones of finished downloads; never more than there were downloads at once. */
  readonly buffers: Buffer[];
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly peer: Peer;
}

/** Answers a GET or HEAD of a blob, whole or in part, from disk. */
export async function sendBlob(
  context: BlobContext,
  exchange: Exchange,
  digest: string,
): Promise<void> {
  const { response, peer } = exchange;
  const size = (await context.readCatalog()).blobSizes.get(digest);
  if (size === undefined) return sendRefusal(response, unknownBlob(digest));
  const release = context.slots.take(peer.certificate?.commonName ?? peer.remoteAddress);
  if (release === undefined) {
    const refusal = refuse(503, 'TOOMANYREQUESTS', 'too many downloads at once');
    return sendRefusal(response, refusal, { 'Retry-After': String(retryAfterSeconds) });
  }
  try {
    const file = await openBlob(context, digest, size);
    if (file === undefined) return sendRefusal(response, unknownBlob(digest));
    try {
      await sendContent(context, exchange, { file, digest, size });
    } finally {
      await file.close();
    }
  } finally {
    release();
  }
}

interface OpenBlob {
  readonly file: FileHandle;
  readonly digest: string;
  readonly size: number;
}

async function sendContent(
  context: BlobContext,
  exchange: Exchange,
  blob: OpenBlob,
): Promise<void> {
  const { request, response } = exchange;
  const { file, digest, size } = blob;
  const etag = `"${digest}"`;
  const { range, 'if-range': ifRange } = request.headers;
  const part = parseRange({ range, ifRange: ifRange?.toString() }, { size, etag });
  const headers = {
    ...contentHeaders('application/octet-stream', digest),
    'Accept-Ranges': 'bytes',
  };
  if (part.kind === 'unsatisfiable') {
    response.writeHead(416, { 'Content-Range': `bytes */${size}`, 'Content-Length': 0 });
    response.end();
    return;
  }
  const { start, end } = writeRangeHead(response, { part, size, headers });
  if (request.method === 'HEAD' || start === end) {
    response.end();
    return;
  }
  const buffer = context.buffers.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
  const result = await sendBytes(response, { file, start, end, buffer, stallMs: context.stallMs });
  // A connection that was cut may still hold the buffer.
  if (result === 'sent') context.buffers.push(buffer);
  else context.logger.debug('a download ended early', { digest, result });
  if (result === 'file-too-short') logDamage(context, digest, 'it became shorter');
}

function writeRangeHead(
  response: ServerResponse,
  content: {
    readonly part: Exclude<ByteRange, { kind: 'unsatisfiable' }>;
    readonly size: number;
    readonly headers: Readonly<Record<string, string>>;
  },
): { readonly start: number; readonly end: number } {
  const { part, size, headers } = content;
  if (part.kind === 'whole') {
    response.writeHead(200, { ...headers, 'Content-Length': size });
    return { start: 0, end: size };
  }
  const { start, end } = part;
  const range = {
    'Content-Range': `bytes ${start}-${end - 1}/${size}`,
    'Content-Length': end - start,
  };
  response.writeHead(206, { ...headers, ...range });
  return { start, end };
}

/** Undefined when the file is not there, or has another size than its digest had: half a blob is none. */
export async function openBlob(
  context: BlobContext,
  digest: string,
  size: number,
): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(blobPath(context.store.directory, digest), 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const found = await file.stat();
    if (found.isFile() && found.size === size) return file;
    logDamage(context, digest, `it has ${found.size} bytes instead of ${size}`);
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

function logDamage({ logger, store }: BlobContext, digest: string, why: string): void {
  logger.error(`the file of blob ${digest} is damaged: ${why}`, { store: store.directory });
}

export function unknownBlob(digest: string): RegistryRefusal {
  return refuse(404, 'BLOB_UNKNOWN', `the store has no whole blob ${digest}`);
}
