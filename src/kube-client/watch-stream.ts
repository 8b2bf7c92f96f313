import { KubeApiError } from './errors.ts';
import type { KubeObject, ResourceType, WatchEvent } from './types.ts';

/** One event may not be longer than this: the largest object is 1.5 MiB in etcd, some more as JSON. */
const maxLineBytes = 16 * 1024 * 1024;

/**
 * Splits a byte stream at newlines; lines that are empty are dropped, and so is a last line without its newline
 * (the stream was cut within it).
 * @throws Error when a line is longer than `maxBytes`.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number = maxLineBytes,
): AsyncGenerator<string> {
  const pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      pending.push(chunk.subarray(start, end));
      const line = Buffer.concat(pending).toString('utf8').trim();
      pending.length = 0;
      pendingBytes = 0;
      start = end + 1;
      if (line !== '') yield line;
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
    pendingBytes += chunk.length - start;
    if (pendingBytes > maxBytes) throw new Error(`a watch event is longer than ${maxBytes} bytes`);
  }
}

/**
 * One line of a watch.
 * @throws KubeApiError for an ERROR event, such as code 410 when the resource version is gone.
 */
export function parseWatchLine<T extends KubeObject>(
  line: string,
  resource: ResourceType,
): WatchEvent<T> {
  const { type, object } = JSON.parse(line) as { type: string; object: Record<string, unknown> };
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') {
    return { type, object: withType<T>(object, resource) };
  }
  if (type === 'BOOKMARK') {
    const metadata = object['metadata'] as { resourceVersion: string };
    return { type, resourceVersion: metadata.resourceVersion };
  }
  throw new KubeApiError({
    code: Number(object['code'] ?? 500),
    reason: String(object['reason'] ?? 'Unknown'),
    message: String(object['message'] ?? `unknown watch event ${type}`),
  });
}

/** Items of lists carry no type, metadata-only ones a foreign one: give each that of its resource. */
export function withType<T extends KubeObject>(
  object: Record<string, unknown>,
  resource: ResourceType,
): T {
  return { ...object, apiVersion: resource.apiVersion, kind: resource.kind } as unknown as T;
}
