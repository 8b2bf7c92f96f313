import { sleep } from '../base/time.ts';
import { KubeApiError } from './errors.ts';
import type {
  KubeClient,
  KubeObject,
  ResourceEvent,
  ResourceType,
  WatchResourceOptions,
} from './types.ts';

const firstDelayMs = 500;
const maxDelayMs = 30_000;

/**
 * Follows a resource until `options.signal` aborts: one `SYNCED` with everything there is, then changes. After a lost
 * connection it goes on from the last version seen; when that version is gone (410) it lists again and yields another
 * `SYNCED`, which replaces all that the caller knew, deletions included. Keeps no object itself. Errors are retried
 * for ever with growing delays and told to `onError`; it ends, without throwing, when the signal aborts.
 */
export async function* watchResource<T extends KubeObject>(
  client: KubeClient,
  resource: ResourceType,
  options: WatchResourceOptions,
): AsyncGenerator<ResourceEvent<T>, void> {
  const { signal, onError } = options;
  const cursor: Cursor = { resourceVersion: undefined, delayMs: firstDelayMs };
  while (!signal.aborted) {
    try {
      yield* followOnce<T>({ client, resource, options, cursor });
    } catch (error) {
      if (signal.aborted) return;
      if (isVersionGone(error)) cursor.resourceVersion = undefined;
      else onError?.(error, cursor.delayMs);
    }
    if (!(await pause(cursor.delayMs * (0.9 + Math.random() / 5), signal))) return;
    cursor.delayMs = Math.min(cursor.delayMs * 2, maxDelayMs);
  }
}

/** Where the loop stands: what it has seen, and how long to wait before the next try. */
interface Cursor {
  resourceVersion: string | undefined;
  delayMs: number;
}

interface FollowOptions {
  readonly client: KubeClient;
  readonly resource: ResourceType;
  readonly options: WatchResourceOptions;
  readonly cursor: Cursor;
}

async function* followOnce<T extends KubeObject>({
  client,
  resource,
  options,
  cursor,
}: FollowOptions): AsyncGenerator<ResourceEvent<T>, void> {
  if (cursor.resourceVersion === undefined) {
    const list = await client.list<T>(resource, options);
    cursor.resourceVersion = list.resourceVersion;
    yield { type: 'SYNCED', items: list.items };
  }
  const { resourceVersion } = cursor;
  for await (const event of client.watch<T>(resource, { ...options, resourceVersion })) {
    cursor.delayMs = firstDelayMs;
    if (event.type === 'BOOKMARK') {
      cursor.resourceVersion = event.resourceVersion;
    } else {
      cursor.resourceVersion = event.object.metadata.resourceVersion ?? cursor.resourceVersion;
      yield event;
    }
  }
}

function isVersionGone(error: unknown): boolean {
  return error instanceof KubeApiError && (error.code === 410 || error.reason === 'Expired');
}

/** False when the signal aborted meanwhile. */
async function pause(delayMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(delayMs, signal);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
