import { errorCode, errorMessage } from '../base/errors.ts';

/** The fields of a `meta/v1` Status that a refused request carries. */
export interface KubeStatus {
  readonly code: number;
  /** Machine-readable, such as `NotFound`, `Conflict`, `Invalid`, `Expired`. */
  readonly reason: string;
  readonly message: string;
  readonly details?: KubeStatusDetails;
}

/** @see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export interface KubeStatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly retryAfterSeconds?: number;
  readonly causes?: readonly {
    readonly field?: string;
    readonly message?: string;
    readonly reason?: string;
  }[];
}

/** The API server understood the request and refused it. `code` is the HTTP status (410: the version is gone). */
export class KubeApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: KubeStatusDetails | undefined;

  constructor(status: KubeStatus) {
    super(status.message);
    this.name = 'KubeApiError';
    this.code = status.code;
    this.reason = status.reason;
    this.details = status.details;
  }
}

/** No answer from the API server: refused, reset, timed out, not trusted. `code` as in Node's system errors, or `ETIMEDOUT`. */
export class KubeConnectionError extends Error {
  readonly server: string;
  readonly code: string;

  constructor(server: string, cause: unknown) {
    super(`no answer from ${server}: ${errorMessage(cause)}`, { cause });
    this.name = 'KubeConnectionError';
    this.server = server;
    this.code = errorCode(cause) ?? 'EIO';
  }
}

const unknownKind = 'UnknownKind';

/** What calls by object throw for a kind that no API version serves (yet): code 404. */
export function unknownKindError(apiVersion: string, kind: string): KubeApiError {
  const message = `the API server does not serve kind ${kind} of ${apiVersion}`;
  return new KubeApiError({ code: 404, reason: unknownKind, message });
}

export function isUnknownKindError(error: unknown): boolean {
  return error instanceof KubeApiError && error.reason === unknownKind;
}

const transientCodes = new Set([409, 429, 500, 502, 503, 504]);

/** Whether the same request may succeed a little later without anybody doing anything. */
export function isTransientKubeError(error: unknown): boolean {
  if (error instanceof KubeConnectionError) return true;
  return error instanceof KubeApiError && transientCodes.has(error.code);
}

/** The error of a refused request from its HTTP status and body, which is a Status or any text. */
export function kubeApiErrorFrom(httpStatus: number, body: string): KubeApiError {
  const status = parseStatus(body);
  return new KubeApiError({
    code: status?.code ?? httpStatus,
    reason: status?.reason ?? 'Unknown',
    message: status?.message ?? (body.trim().slice(0, 500) || `HTTP status ${httpStatus}`),
    ...(status?.details === undefined ? {} : { details: status.details }),
  });
}

function parseStatus(body: string): Partial<KubeStatus> | undefined {
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const value = JSON.parse(body) as { kind?: unknown } & Partial<KubeStatus>;
    return value.kind === 'Status' ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
