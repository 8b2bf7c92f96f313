import { isDigest, isRepository, isTag } from './image-reference.ts';
import { mediaTypes } from './media-types.ts';

/** Codes that clients of registries know. @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes */
export type RegistryErrorCode =
  | 'BLOB_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNSUPPORTED';

/** Why there is no content, as the client reads it. */
export interface RegistryRefusal {
  readonly kind: 'refused';
  readonly status: number;
  readonly code: RegistryErrorCode;
  readonly message: string;
}

/** What a client asks of the registry. */
export type RegistryRequest =
  | { readonly kind: 'base' }
  | {
      readonly kind: 'manifest';
      readonly repository: string;
      /** What containerd sends as `?ns=`: the registry that it mirrors. */
      readonly registry: string | undefined;
      /** A tag or `sha256:…`. */
      readonly version: string;
    }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'tags'; readonly repository: string; readonly registry: string | undefined }
  | RegistryRefusal;

/** The architecture that a client is of: it gets nothing that it could not run. Set in containerd's hosts.toml. */
export const architectureHeader = 'mini-k8s-architecture';

/** On a component's manifest: who compiled it (`builtFrom` in the index). */
export const builtFromHeader = 'mini-k8s-built-from';

/**
 * Reads the target of a request. Every part must have the form that the specification gives it, so that nothing of it
 * can lead out of the store.
 * @param target As it stands in the request line: `/v2/pause/manifests/3.10.2?ns=registry.k8s.io`.
 */
export function parseRegistryRequest(target: string): RegistryRequest {
  const [rawPath = '', query = ''] = target.split('?', 2);
  const path = decode(rawPath);
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  const match = /^\/v2\/(.+)\/(?:(manifests|blobs)\/([^/]+)|(tags)\/list)$/.exec(path);
  const [, repository = '', kind = match?.[4], version = ''] = match ?? [];
  if (match === null) {
    return refuse(404, 'UNSUPPORTED', 'there is nothing at this path');
  }
  if (!isRepository(repository)) return refuse(400, 'NAME_INVALID', 'invalid repository name');
  const registry = new URLSearchParams(query).get('ns') ?? undefined;
  if (kind === 'tags') return { kind, repository, registry };
  if (isDigest(version)) {
    return kind === 'blobs'
      ? { kind: 'blob', repository, digest: version }
      : { kind: 'manifest', repository, registry, version };
  }
  if (kind === 'blobs' || version.includes(':')) {
    return refuse(400, 'DIGEST_INVALID', 'only sha256 digests are known');
  }
  if (!isTag(version)) return refuse(404, 'MANIFEST_UNKNOWN', 'this is no tag');
  return { kind: 'manifest', repository, registry, version };
}

export function refuse(status: number, code: RegistryErrorCode, message: string): RegistryRefusal {
  return { kind: 'refused', status, code, message };
}

/** Which bytes of a content to send. */
export type ByteRange =
  | { readonly kind: 'whole' }
  /** `end` is the first byte that is not sent. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

/**
 * Reads Range and If-Range. What is malformed, and several ranges at once, give the whole content, as a server may.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14.2
 */
export function parseRange(
  headers: { readonly range?: string | undefined; readonly ifRange?: string | undefined },
  content: { readonly size: number; readonly etag: string },
): ByteRange {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '') ?? [];
  if (first === undefined || last === undefined || first + last === '') return { kind: 'whole' };
  if (headers.ifRange !== undefined && headers.ifRange !== content.etag) return { kind: 'whole' };
  const { size } = content;
  if (first === '') {
    const length = Math.min(Number(last), size);
    if (length === 0) return { kind: 'unsatisfiable' };
    return { kind: 'part', start: size - length, end: size };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= size) return { kind: 'unsatisfiable' };
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  return { kind: 'part', start, end };
}

/** Whether a client takes an index over several architectures: one that says nothing takes everything. */
export function acceptsIndex(accept: string | undefined): boolean {
  if (accept === undefined) return true;
  const types = accept.split(',').map((type) => type.split(';')[0]?.trim().toLowerCase());
  return types.some(
    (type) => type === '*/*' || type === 'application/*' || type === mediaTypes.index,
  );
}

/** Empty, which is no path of ours, when it cannot be decoded. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return '';
    throw error;
  }
}
