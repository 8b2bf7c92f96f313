/**
 * No connection; the message says which and why. `code` as in Node's system errors, or `EPROXY` when a proxy did not
 * open the way.
 */
export class DialError extends Error {
  readonly code: string;
  /** It is the proxy that is to be mended: it does not answer, or it refuses. */
  readonly isOfProxy: boolean;

  constructor(
    code: string,
    message: string,
    options: { readonly isOfProxy: boolean; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DialError';
    this.code = code;
    this.isOfProxy = options.isOfProxy;
  }
}
