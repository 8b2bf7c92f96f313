import { createDiscovery, type Discovery } from './discovery.ts';
import { KubeApiError, unknownKindError } from './errors.ts';
import { collectionPath, listQuery, objectPath, withQuery } from './paths.ts';
import {
  connectionError,
  createTransport,
  type KubeRequest,
  type Transport,
  type TransportOptions,
} from './transport.ts';
import type {
  KubeClient,
  KubeObject,
  ListOptions,
  ObjectRef,
  ResourceType,
  WatchOptions,
} from './types.ts';
import { parseWatchLine, splitLines, withType } from './watch-stream.ts';

/** Where the API server is and how to prove who one is. */
export type KubeClientOptions = Omit<TransportOptions, 'requestTimeoutMs' | 'maxResponseBytes'> &
  Partial<TransportOptions>;

/** The server closes a watch after this long, with some spread, seconds; the caller opens the next. */
const watchTimeoutSeconds = 300;
/** Bookmarks come about once a minute: with nothing for this long the connection is dead, milliseconds. */
const watchIdleTimeoutMs = 180_000;

const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

/**
 * A client of one API server. Nothing is read or connected before the first call; certificates that are renewed
 * on disk are taken up while running.
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
export function createKubeClient(options: KubeClientOptions): KubeClient {
  const transport = createTransport({
    requestTimeoutMs: 30_000,
    maxResponseBytes: 64 * 1024 * 1024,
    ...options,
  });
  const getJson = async <T>(path: string, signal?: AbortSignal) =>
    sendJson<T>(transport, { method: 'GET', path, ...signalOf(signal) });
  const discovery = createDiscovery(getJson);
  const context: ClientContext = { transport, discovery, server: options.server };
  return {
    getJson,
    discover: (apiVersion, kind, signal) => discovery.find(apiVersion, kind, signal),
    close: () => transport.close(),
    ...readingCalls(context),
    ...writingCalls(context),
  };
}

interface ClientContext {
  readonly transport: Transport;
  readonly discovery: Discovery;
  readonly server: string;
}

function readingCalls(context: ClientContext): Pick<KubeClient, 'get' | 'list' | 'watch'> {
  const { transport } = context;
  return {
    async get<T extends KubeObject>(ref: ObjectRef, signal?: AbortSignal) {
      const request: KubeRequest = { method: 'GET', path: objectPath(ref), ...signalOf(signal) };
      return await undefinedWhenMissing(context, ref.resource, () =>
        sendJson<T>(transport, request),
      );
    },
    async list<T extends KubeObject>(resource: ResourceType, options: ListOptions = {}) {
      const path = withQuery(collectionPath(resource, options.namespace), listQuery(options));
      const list = await forgetWhenUnserved(context, resource, () =>
        sendJson<RawList>(transport, {
          method: 'GET',
          path,
          accept: acceptFor(options, 'PartialObjectMetadataList'),
          ...signalOf(options.signal),
        }),
      );
      return {
        items: (list.items ?? []).map((item) => withType<T>(item, resource)),
        resourceVersion: list.metadata?.resourceVersion ?? '',
      };
    },
    watch: (resource, options) => watchOnce(context, resource, options),
  };
}

interface RawList {
  readonly items?: readonly Record<string, unknown>[];
  readonly metadata?: { readonly resourceVersion?: string };
}

async function* watchOnce<T extends KubeObject>(
  context: ClientContext,
  resource: ResourceType,
  options: WatchOptions,
) {
  const { signal } = options;
  const query = listQuery(options, {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: options.resourceVersion,
    timeoutSeconds: String(Math.round(watchTimeoutSeconds * (1 + Math.random() / 5))),
  });
  const request: KubeRequest = {
    method: 'GET',
    path: withQuery(collectionPath(resource, options.namespace), query),
    accept: acceptFor(options, 'PartialObjectMetadata'),
    ...signalOf(signal),
  };
  try {
    const response = await context.transport.open(request, watchIdleTimeoutMs);
    for await (const line of splitLines(response)) yield parseWatchLine<T>(line, resource);
  } catch (error) {
    if (signal?.aborted === true) return;
    throw connectionError(context.server, error);
  }
}

function writingCalls(
  context: ClientContext,
): Pick<KubeClient, 'apply' | 'create' | 'replace' | 'patch' | 'delete'> {
  const { transport } = context;
  return {
    async apply(object, options) {
      const ref = await refOf(context, object, options.signal);
      const query = new URLSearchParams({ fieldManager: options.fieldManager });
      if (options.force) query.set('force', 'true');
      if (options.dryRun === true) query.set('dryRun', 'All');
      return await forgetWhenUnserved(context, ref.resource, () =>
        sendJson(transport, {
          method: 'PATCH',
          path: withQuery(objectPath(ref), query.toString()),
          contentType: 'application/apply-patch+yaml',
          body: JSON.stringify(object),
          ...signalOf(options.signal),
        }),
      );
    },
    async create(object, signal) {
      const { resource, namespace } = await refOf(context, object, signal);
      const path = collectionPath(resource, namespace);
      return await sendJson(transport, {
        method: 'POST',
        path,
        body: JSON.stringify(object),
        ...signalOf(signal),
      });
    },
    async replace(object, subresource, signal) {
      const path = objectPath(await refOf(context, object, signal), subresource);
      const body = JSON.stringify(object);
      return await sendJson(transport, { method: 'PUT', path, body, ...signalOf(signal) });
    },
    async patch(ref, body, options) {
      const query = new URLSearchParams();
      if (options.fieldManager !== undefined) query.set('fieldManager', options.fieldManager);
      return await sendJson(transport, {
        method: 'PATCH',
        path: withQuery(objectPath(ref, options.subresource), query.toString()),
        contentType: patchTypes[options.type],
        body: JSON.stringify(body),
        ...signalOf(options.signal),
      });
    },
    async delete(ref, signal, preconditions) {
      const request: KubeRequest = {
        method: 'DELETE',
        path: objectPath(ref),
        body: JSON.stringify({
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: 'Background',
          ...(preconditions === undefined ? {} : { preconditions }),
        }),
        ...signalOf(signal),
      };
      const send = () => sendJson<object>(transport, request);
      return (await undefinedWhenMissing(context, ref.resource, send)) !== undefined;
    },
  };
}

/** @throws KubeApiError 404 `UnknownKind` when the server does not serve the object's kind. */
async function refOf(
  context: ClientContext,
  object: KubeObject,
  signal: AbortSignal | undefined,
): Promise<ObjectRef> {
  const { apiVersion, kind, metadata } = object;
  const resource = await context.discovery.find(apiVersion, kind, signal);
  if (resource === undefined) throw unknownKindError(apiVersion, kind);
  const namespace = resource.namespaced ? (metadata.namespace ?? 'default') : undefined;
  return { resource, name: metadata.name, ...(namespace === undefined ? {} : { namespace }) };
}

/** A 404 that names no object means that the resource itself is gone, as after its CustomResourceDefinition. */
async function forgetWhenUnserved<R>(
  context: ClientContext,
  resource: ResourceType,
  call: () => Promise<R>,
): Promise<R> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof KubeApiError && error.code === 404 && error.details?.name === undefined) {
      context.discovery.forget(resource.apiVersion);
    }
    throw error;
  }
}

async function undefinedWhenMissing<R>(
  context: ClientContext,
  resource: ResourceType,
  call: () => Promise<R>,
): Promise<R | undefined> {
  try {
    return await forgetWhenUnserved(context, resource, call);
  } catch (error) {
    if (error instanceof KubeApiError && error.code === 404) return undefined;
    throw error;
  }
}

async function sendJson<T>(transport: Transport, request: KubeRequest): Promise<T> {
  return JSON.parse(await transport.send(request)) as T;
}

function acceptFor(options: ListOptions, kind: string): string {
  return options.metadataOnly === true
    ? `application/json;as=${kind};g=meta.k8s.io;v=v1`
    : 'application/json';
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
