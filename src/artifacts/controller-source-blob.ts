import { answerFailure, answerStatus, WrongContentError } from './controller-source-answer.ts';
import type { Answer, Controller } from './controller-source-ask.ts';
import type { ControllerResponse } from './controller-source-http.ts';
import type { PartialBlob } from './controller-source-partial.ts';
import { isDiskFull } from './controller-source-session.ts';
import type { NeededBlob } from './needed-blobs.ts';

export interface BlobDownload {
  readonly blob: NeededBlob;
  /** With `?ns=` for an image. */
  readonly path: string;
  readonly partial: PartialBlob;
  /** Called with the bytes of this blob that are there. */
  readonly onProgress: (size: number) => void;
  readonly signal: AbortSignal;
}

/** Takes from one controller what is missing of a blob, as far as it comes. */
export async function downloadFrom(
  download: BlobDownload,
  controller: Controller,
): Promise<Answer<true>> {
  const { partial, blob, signal } = download;
  const before = partial.size();
  try {
    if (before < blob.size) {
      const refusal = await receive(download, controller);
      if (refusal !== undefined) return refusal;
    }
    if (partial.size() < blob.size) {
      const why = `it sent ${partial.size() - before} bytes of ${blob.size - before} and ended`;
      return { kind: 'failed', why, progressed: partial.size() > before };
    }
    return await verify(download, controller);
  } catch (error) {
    // What a full disk lets us write is not lost but for the last chunk.
    if (!isDiskFull(error)) await partial.flush();
    return answerFailure(error, signal, partial.size() > before);
  }
}

/** @returns what speaks against this controller's content; undefined when its bytes were taken. */
async function receive(
  download: BlobDownload,
  { connection, name }: Controller,
): Promise<Answer<never> | undefined> {
  const { partial, blob, path, signal } = download;
  const start = partial.size();
  const headers: Record<string, string> =
    start === 0 ? {} : { Range: `bytes=${start}-`, 'If-Range': `"${blob.digest}"` };
  const response = await connection.get(path, { headers, signal });
  const refusal = await checkHead(response, download);
  if (refusal !== undefined) {
    response.discard();
    return refusal;
  }
  await response.receive((chunk) => {
    if (partial.size() + chunk.length > blob.size) {
      throw new WrongContentError(`it sent more than the ${blob.size} bytes of ${blob.digest}`);
    }
    const pending = partial.append(chunk, name);
    download.onProgress(partial.size());
    return pending;
  });
  return undefined;
}

/** The status, and whether it is the part that was asked for. */
async function checkHead(
  response: ControllerResponse,
  { partial, blob }: BlobDownload,
): Promise<Answer<never> | undefined> {
  const start = partial.size();
  switch (response.status) {
    case 200: {
      if (start > 0) await partial.restart();
      const length = response.header('content-length');
      if (length === undefined || Number(length) === blob.size) return undefined;
      return wrong(`it has ${length} bytes for ${blob.digest} instead of ${blob.size}`);
    }
    case 206: {
      const range = response.header('content-range');
      if (range === `bytes ${start}-${blob.size - 1}/${blob.size}`) return undefined;
      return wrong(`asked for the bytes from ${start} of ${blob.size} it sent ${range}`);
    }
    case 416:
      await partial.restart();
      return { kind: 'failed', why: 'it has no such part of the file', progressed: false };
    default:
      return answerStatus(response);
  }
}

async function verify(
  { partial, blob, onProgress }: BlobDownload,
  { name }: Controller,
): Promise<Answer<true>> {
  if (await partial.finish()) return { kind: 'done', value: true };
  const isAllOfThisOne = [...partial.origins()].every((origin) => origin === name);
  await partial.restart();
  onProgress(0);
  const why = `the content of ${blob.description} is not ${blob.digest}`;
  // Somebody's part is wrong, an earlier process's perhaps: the next answer is from the beginning, and of one only.
  return isAllOfThisOne ? wrong(why) : { kind: 'failed', why, progressed: false };
}

function wrong(why: string): Answer<never> {
  return { kind: 'refused', why, fix: 'give that controller its bundle again with --bundle' };
}
