import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { Answer } from './controller-source-ask.ts';
import { type ControllerResponse, UntrustedServerError } from './controller-source-http.ts';

/** It cannot be what was asked for, whatever may follow. */
export class WrongContentError extends Error {
  override readonly name = 'WrongContentError';
}

/** What it means that a controller answered with something else than content. */
export function answerStatus({ status, header }: ControllerResponse): Answer<never> {
  switch (status) {
    case 404:
      return { kind: 'absent' };
    case 401:
    case 403:
      return {
        kind: 'refused',
        why: `it does not accept the token or certificate of this node (${status})`,
        fix: 'join again with a new token: mini-k8s token create, on a controller',
      };
    case 429:
    case 503:
      return { kind: 'busy', retryAfterMs: 1000 * Math.max(1, Number(header('retry-after')) || 1) };
    default:
      return { kind: 'failed', why: `it answered with status ${status}`, progressed: false };
  }
}

/**
 * What it means that there was no whole answer.
 * @throws the error when it is not the controller's: an abort, a full disk, a bug.
 */
export function answerFailure(
  error: unknown,
  signal: AbortSignal,
  progressed: boolean,
): Answer<never> {
  signal.throwIfAborted();
  if (error instanceof UntrustedServerError) {
    return {
      kind: 'refused',
      why: `its certificate is not one of this cluster (${error.message})`,
      fix: 'check that the address is that of a controller of this cluster, and the clocks of both',
    };
  }
  // A UserError: a document that cannot be read. Its text says why.
  if (error instanceof WrongContentError || error instanceof UserError) {
    return {
      kind: 'refused',
      why: error.message,
      fix: 'give that controller its bundle again with --bundle',
    };
  }
  if (isDiskError(error) || error instanceof TypeError) throw error;
  return { kind: 'failed', why: describe(error), progressed };
}

/** Of files, not of sockets. */
function isDiskError(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EACCES', 'ENOENT', 'EFBIG'].includes(
    errorCode(error) ?? '',
  );
}

function describe(error: unknown): string {
  switch (errorCode(error)) {
    case 'ECONNRESET':
    case 'EPIPE':
      return 'the connection was cut';
    default:
      return errorMessage(error);
  }
}
