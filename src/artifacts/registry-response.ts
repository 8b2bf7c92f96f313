import type { FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { RegistryRefusal } from './registry-request.ts';

/** Answers with the JSON that clients of registries print. */
export function sendRefusal(
  response: ServerResponse,
  refusal: RegistryRefusal,
  headers: Readonly<Record<string, string>> = {},
): void {
  const { code, message, status } = refusal;
  const body = `${JSON.stringify({ errors: [{ code, message }] })}\n`;
  sendDocument(response, {
    status,
    body,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
}

export function sendDocument(
  response: ServerResponse,
  document: {
    readonly status: number;
    readonly body: string | Uint8Array;
    readonly headers: Readonly<Record<string, string>>;
  },
): void {
  const { status, body, headers } = document;
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

/** What a client needs to know what it has got. */
export function contentHeaders(mediaType: string, digest: string): Record<string, string> {
  return { 'Content-Type': mediaType, 'Docker-Content-Digest': digest, ETag: `"${digest}"` };
}

export interface SendBytesOptions {
  readonly file: FileHandle;
  readonly start: number;
  /** The first byte that is not sent. */
  readonly end: number;
  /** The only memory that is used: filled and sent, filled and sent. */
  readonly buffer: Buffer;
  /** A client that takes nothing for so long is cut off. */
  readonly stallMs: number;
}

/** How sending ended; in every case but `sent` the connection is gone, so that no client takes a part for the whole. */
export type SendResult = 'sent' | 'cut-off' | 'stalled' | 'file-too-short';

/** Sends bytes of a file as the body, each chunk after the client's side took the one before. */
export async function sendBytes(
  response: ServerResponse,
  options: SendBytesOptions,
): Promise<SendResult> {
  const { file, buffer, end } = options;
  const writer = createWriter(response, options.stallMs);
  try {
    for (let position = options.start; position < end; ) {
      const length = Math.min(buffer.length, end - position);
      const { bytesRead } = await file.read(buffer, 0, length, position);
      if (bytesRead === 0) {
        response.destroy();
        return 'file-too-short';
      }
      if (!(await writer.write(buffer.subarray(0, bytesRead)))) {
        return writer.isStalled() ? 'stalled' : 'cut-off';
      }
      position += bytesRead;
    }
    response.end();
    return 'sent';
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    writer.close();
  }
}

/** One listener and one timer for all chunks of a response. */
function createWriter(response: ServerResponse, stallMs: number) {
  let settle: (isWritten: boolean) => void = () => {};
  let isStalled = false;
  const onClose = () => settle(false);
  const timer = setTimeout(() => {
    isStalled = true;
    response.destroy();
  }, stallMs);
  response.on('close', onClose);
  return {
    isStalled: () => isStalled,
    write: (chunk: Uint8Array): Promise<boolean> =>
      new Promise((resolve) => {
        settle = resolve;
        timer.refresh();
        if (response.destroyed) resolve(false);
        else response.write(chunk, (error) => resolve(error === null || error === undefined));
      }),
    close: () => {
      clearTimeout(timer);
      response.off('close', onClose);
    },
  };
}
