/**
 * No connection; the message says which and why. `code` as in Node's system errors, or `EPROXY` when a proxy did not
 * open the way.
 */
export class DialError extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'DialError';
    this.code = code;
  }
}
