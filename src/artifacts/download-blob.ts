import type { Answer, Server } from './ask-servers.ts';
import type { HttpResponse } from './http-connection.ts';
import type { PartialBlob } from './partial-blob.ts';
import type { PartialMark } from './partial-mark.ts';
import {
  answerFailure,
  answerStatus,
  isDiskFull,
  WrongContentError,
  wrongContent,
} from './server-answer.ts';

export interface BlobDownload {
  readonly blob: DownloadedBlob;
  /** At each server: a path with `?ns=` for an image, or a whole address. */
  readonly path: string;
  readonly partial: PartialBlob;
  /** What is remembered of the server; left out for registries, where a blob's digest is its ETag. */
  readonly mark?: PartialMark;
  /** Called with the bytes of this blob that are there, and how many it will be where that is known. */
  readonly onProgress: (size: number, totalSize: number | undefined) => void;
  readonly signal: AbortSignal;
}

interface DownloadedBlob {
  readonly digest: string;
  /** Known from a manifest; left out, it is what the server says. */
  readonly size?: number;
  /** `kube-apiserver of kubernetes 1.37.1 (amd64)`. */
  readonly description: string;
}

/** No file of ours has more; without a bound a server could fill the disk. */
const maxBlobBytes = 2 ** 30;

/** Takes from one server what is missing of a blob, as far as it comes. */
export async function downloadFrom(download: BlobDownload, server: Server): Promise<Answer<true>> {
  const { partial, signal } = download;
  const before = partial.size();
  const highest = partial.highestSize();
  try {
    if (before < (sizeOf(download) ?? maxBlobBytes)) {
      const refusal = await receive(download, server);
      if (refusal !== undefined) return refusal;
    }
    const size = sizeOf(download) ?? partial.size();
    if (partial.size() < size) {
      const why = `it sent ${partial.size() - before} bytes of ${size - before} and ended`;
      return { kind: 'failed', why, progressed: partial.size() > highest };
    }
    return await verify(download, server);
  } catch (error) {
    // What a full disk lets us write is not lost but for the last chunk.
    if (!isDiskFull(error)) await partial.flush();
    return answerFailure(error, signal, partial.size() > highest);
  }
}

function sizeOf({ blob, mark, partial }: BlobDownload): number | undefined {
  return blob.size ?? (partial.size() === 0 ? undefined : mark?.known()?.size);
}

/** @returns what speaks against this server's content; undefined when its bytes were taken. */
async function receive(download: BlobDownload, server: Server): Promise<Answer<never> | undefined> {
  const { partial, blob, path, signal } = download;
  const headers = rangeHeaders(download, server);
  const response = await server.connection.get(path, { headers, signal });
  const head = await checkHead(response, download);
  if (head.kind !== 'content') {
    response.discard();
    return head;
  }
  const limit = head.size ?? maxBlobBytes;
  const received = response.receive((chunk) => {
    if (partial.size() + chunk.length > limit) {
      throw new WrongContentError(`it sent more than the ${limit} bytes of ${blob.digest}`);
    }
    const pending = partial.append(chunk, server.name);
    download.onProgress(partial.size(), head.size);
    return pending;
  });
  // At the same time: a connection that is cut while nobody reads loses what came.
  const results = await Promise.allSettled([received, remember(download, response, server)]);
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return undefined;
}

/** Asks for the rest only, and for all where the server has another file by now. */
function rangeHeaders(
  { partial, blob, mark }: BlobDownload,
  server: Server,
): Readonly<Record<string, string>> {
  const start = partial.size();
  if (start === 0) return {};
  const validator = mark === undefined ? `"${blob.digest}"` : validatorOf(mark, server);
  return {
    Range: `bytes=${start}-`,
    ...(validator === undefined ? {} : { 'If-Range': validator }),
  };
}

/** Of the server that the bytes came from. Another one has its own, and the digest decides in any case. */
function validatorOf(mark: PartialMark, { name }: Server): string | undefined {
  const known = mark.known();
  return known?.server === name ? known.validator : undefined;
}

type Head = { readonly kind: 'content'; readonly size: number | undefined } | Answer<never>;

/** The status, and whether it is the part that was asked for. */
async function checkHead(response: HttpResponse, download: BlobDownload): Promise<Head> {
  const { partial, blob } = download;
  switch (response.status) {
    case 200: {
      if (partial.size() > 0) await partial.restart();
      const size = Number(response.header('content-length') ?? Number.NaN);
      if (blob.size !== undefined && !Number.isNaN(size) && size !== blob.size) {
        return wrongContent(`it has ${size} bytes for ${blob.digest} instead of ${blob.size}`);
      }
      return { kind: 'content', size: Number.isNaN(size) ? blob.size : size };
    }
    case 206:
      return await checkPart(response, download);
    case 416:
      await partial.restart();
      return { kind: 'failed', why: 'it has no such part of the file', progressed: false };
    default:
      return answerStatus(response);
  }
}

async function checkPart(response: HttpResponse, download: BlobDownload): Promise<Head> {
  const { partial } = download;
  const start = partial.size();
  const range = response.header('content-range') ?? '';
  const total = Number(/^bytes \d+-\d+\/(\d+)$/.exec(range)?.[1] ?? Number.NaN);
  const size = sizeOf(download) ?? total;
  if (range === `bytes ${start}-${size - 1}/${size}`) return { kind: 'content', size };
  const why = `asked for the bytes from ${start} of ${size} it sent ${range}`;
  if (download.mark === undefined) return wrongContent(why);
  // What is there may be of another server, and its size with it.
  await partial.restart();
  return { kind: 'failed', why, progressed: false };
}

/** What the server says of the whole file, for the next time that a part of it is asked for. */
async function remember(
  { mark }: BlobDownload,
  { status, header }: HttpResponse,
  { name }: Server,
): Promise<void> {
  if (mark === undefined || status !== 200) return;
  const etag = header('etag');
  // A weak one says nothing about bytes.
  const validator = etag?.startsWith('"') === true ? etag : header('last-modified');
  const size = header('content-length');
  await mark.remember({
    server: name,
    ...(validator === undefined ? {} : { validator }),
    ...(size === undefined ? {} : { size: Number(size) }),
  });
}

async function verify(download: BlobDownload, { name }: Server): Promise<Answer<true>> {
  const { partial, blob, onProgress } = download;
  const size = partial.size();
  if (await partial.finish()) return { kind: 'done', value: true };
  const isAllOfThisOne = [...partial.origins()].every((origin) => origin === name);
  await partial.restart();
  onProgress(0, blob.size);
  const why =
    blob.size === undefined
      ? `the ${size} bytes of ${blob.description} are not ${blob.digest}`
      : `the content of ${blob.description} is not ${blob.digest}`;
  // Somebody's part is wrong, an earlier process's perhaps: the next answer is from the beginning, and of one only.
  return isAllOfThisOne ? wrongContent(why) : { kind: 'failed', why, progressed: false };
}
