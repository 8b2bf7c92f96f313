import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpRoute, Peer } from '../base/http-route.ts';
import type { Logger } from '../base/logger.ts';
import { annotations, mediaTypes } from './media-types.ts';
import {
  type BlobContext,
  type Exchange,
  openBlob,
  sendBlob,
  unknownBlob,
} from './registry-blob.ts';
import {
  type CatalogEntry,
  cachedCatalog,
  findManifest,
  listTags,
  type RegistryCatalog,
} from './registry-catalog.ts';
import {
  acceptsIndex,
  architectureHeader,
  builtFromHeader,
  parseRegistryRequest,
  type RegistryRequest,
  refuse,
} from './registry-request.ts';
import { contentHeaders, sendDocument, sendRefusal } from './registry-response.ts';
import { createDownloadSlots } from './registry-slots.ts';
import type { ArtifactStore } from './store.ts';

export interface RegistryRouteOptions {
  readonly store: ArtifactStore;
  /** Whether this client may read: everything in the store, then. */
  readonly authorize: (request: IncomingMessage, peer: Peer) => Promise<boolean> | boolean;
  readonly logger: Logger;
  /** Downloads of blobs at once; default 32 in all and 8 of one peer. */
  readonly limits?: { readonly all: number; readonly perPeer: number };
  /** A client that takes no byte for so long is cut off; default one minute. */
  readonly stallMs?: number;
}

/** With 32 downloads: 2 MiB, and few enough that each gets on. */
const defaultLimits = { all: 32, perPeer: 8 };
const defaultStallMs = 60_000;

/**
 * Not `Bearer`, although a bearer token is what a joining worker sends: clients of registries would ask the realm for one,
 * and report that failure instead of this one.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
const challenge = 'mini-k8s';

/**
 * The store as a read-only registry: for workers that fetch executables, and for containerd as a mirror.
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
export function createRegistryRoute(options: RegistryRouteOptions): HttpRoute {
  const context: RouteContext = {
    ...options,
    stallMs: options.stallMs ?? defaultStallMs,
    readCatalog: cachedCatalog(options.store),
    slots: createDownloadSlots(options.limits ?? defaultLimits),
    buffers: [],
  };
  return {
    prefix: '/v2/',
    handle: (request, response, peer) => handle(context, { request, response, peer }),
  };
}

interface RouteContext extends BlobContext {
  readonly authorize: RegistryRouteOptions['authorize'];
}

async function handle(context: RouteContext, exchange: Exchange): Promise<void> {
  const { request, response, peer } = exchange;
  response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const refusal = refuse(405, 'UNSUPPORTED', 'this registry is read-only');
    return sendRefusal(response, refusal, { Allow: 'GET, HEAD' });
  }
  if (!(await context.authorize(request, peer))) {
    const refusal = refuse(401, 'UNAUTHORIZED', 'a join token or a node certificate is needed');
    return sendRefusal(response, refusal, { 'WWW-Authenticate': challenge });
  }
  const asked = parseRegistryRequest(request.url ?? '');
  switch (asked.kind) {
    case 'base':
      return sendJson(response, {});
    case 'manifest':
      return await sendManifest(context, exchange, asked);
    case 'blob':
      return await sendBlob(context, exchange, asked.digest);
    case 'tags':
      return sendTags(await context.readCatalog(), response, asked);
    case 'refused':
      return sendRefusal(response, asked);
  }
}

function sendTags(
  catalog: RegistryCatalog,
  response: ServerResponse,
  asked: RegistryRequest & { readonly kind: 'tags' },
): void {
  const tags = listTags(catalog, asked);
  if (tags.length > 0) sendJson(response, { name: asked.repository, tags });
  else sendRefusal(response, refuse(404, 'NAME_UNKNOWN', `the store has no ${asked.repository}`));
}

async function sendManifest(
  context: RouteContext,
  { request, response }: Exchange,
  asked: RegistryRequest & { readonly kind: 'manifest' },
): Promise<void> {
  const arch = request.headers[architectureHeader];
  const found = await findManifest(context.store, await context.readCatalog(), {
    ...asked,
    arch: typeof arch === 'string' ? arch : undefined,
    takesIndex: acceptsIndex(request.headers.accept),
  });
  switch (found.kind) {
    case 'refused':
      return sendRefusal(response, found);
    case 'index': {
      const { content: body, digest } = found;
      const headers = contentHeaders(mediaTypes.index, digest);
      return sendDocument(response, { status: 200, body, headers });
    }
    case 'entry':
      return await sendEntry(context, response, found.entry);
  }
}

async function sendEntry(
  context: RouteContext,
  response: ServerResponse,
  { entry }: CatalogEntry,
): Promise<void> {
  const opened = await openBlob(context, entry.digest, entry.size);
  if (opened === undefined) return sendRefusal(response, unknownBlob(entry.digest));
  try {
    // Not larger than readManifest took when the catalog was read.
    const body = await opened.readFile();
    const builtFrom = entry.annotations?.[annotations.builtFrom];
    const headers = {
      ...contentHeaders(entry.mediaType, entry.digest),
      ...(builtFrom === undefined ? {} : { [builtFromHeader]: builtFrom }),
    };
    sendDocument(response, { status: 200, body, headers });
  } finally {
    await opened.close();
  }
}

function sendJson(response: ServerResponse, value: unknown): void {
  const headers = { 'Content-Type': 'application/json' };
  sendDocument(response, { status: 200, body: JSON.stringify(value), headers });
}
