import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { Answer } from './ask-servers.ts';
import type { HttpResponse } from './http-connection.ts';
import { UntrustedServerError } from './open-tls.ts';
import { SilentServerError } from './silent-server.ts';

/** It cannot be what was asked for, whatever may follow. */
export class WrongContentError extends Error {
  override readonly name = 'WrongContentError';
}

/** What it means that a server answered with something else than content. */
export function answerStatus({ status, header }: HttpResponse): Answer<never> {
  switch (status) {
    case 404:
      return { kind: 'absent' };
    case 401:
    case 403:
      return { kind: 'refused', reason: 'denied', why: String(status) };
    case 429:
    case 503:
      return { kind: 'busy', retryAfterMs: retryAfterMs(header) };
    default:
      return { kind: 'failed', why: `it answered with status ${status}`, progressed: false };
  }
}

/**
 * What it means that there was no whole answer.
 * @throws the error when it is not the server's: an abort, a full disk, a bug.
 */
export function answerFailure(
  error: unknown,
  signal: AbortSignal,
  progressed: boolean,
): Answer<never> {
  signal.throwIfAborted();
  if (error instanceof UntrustedServerError) {
    return { kind: 'refused', reason: 'untrusted', why: error.message };
  }
  if (error instanceof SilentServerError) return { kind: 'silent', why: error.message };
  // A UserError: a document that cannot be read. Its text says why.
  if (error instanceof WrongContentError || error instanceof UserError) {
    return wrongContent(error.message);
  }
  if (isDiskError(error) || error instanceof TypeError) throw error;
  return { kind: 'failed', why: describe(error), progressed };
}

/** What it sent cannot be what was asked for. */
export function wrongContent(why: string): Answer<never> {
  return { kind: 'refused', reason: 'wrong-content', why };
}

/** Milliseconds; also where a server says 0: it has just said that it is busy. */
const minRetryAfterMs = 500;

/**
 * The wait that a server asks for, milliseconds. It gives seconds, or a date: by its own clock, since ours may be wrong.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterMs(header: HttpResponse['header']): number {
  const value = header('retry-after')?.trim() ?? '';
  const ms = /^\d+$/.test(value)
    ? 1000 * Number(value)
    : Date.parse(value) - Date.parse(header('date') ?? '');
  return Number.isNaN(ms) ? 1000 : Math.max(minRetryAfterMs, ms);
}

export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(errorCode(error) ?? '');
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
