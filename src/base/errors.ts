/** What a person reads when something they can act on went wrong. */
export interface UserErrorOptions {
  /** The act that failed, as it continues "Cannot …": `start etcd`. */
  readonly what: string;
  /** The reason, with real values: `port 2380 is in use by pid 812 (etcd)`. */
  readonly why: string;
  /** One action that mends it, with the flag, field or command. */
  readonly fix?: string;
  readonly cause?: unknown;
}

/**
 * An error that a user can meet and mend. Everything else that is thrown is a bug (exit 70, stack).
 * Its text is `Cannot <what>: <why>`; `fix` is printed on a line of its own by the CLI.
 */
export class UserError extends Error {
  readonly what: string;
  readonly why: string;
  readonly fix: string | undefined;

  constructor(options: UserErrorOptions) {
    super(
      `Cannot ${options.what}: ${options.why}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'UserError';
    this.what = options.what;
    this.why = options.why;
    this.fix = options.fix;
  }
}

/** Several independent problems found in one pass, shown together. `errors` is never empty. */
export class UserErrors extends Error {
  readonly errors: readonly UserError[];

  constructor(errors: readonly UserError[]) {
    super(errors.map((error) => error.message).join('\n'));
    this.name = 'UserErrors';
    this.errors = errors;
  }
}

/** Throws what was collected: nothing, the single error, or all of them as one `UserErrors`. */
export function throwCollected(errors: readonly UserError[]): void {
  const [first] = errors;
  if (first === undefined) return;
  throw errors.length === 1 ? first : new UserErrors(errors);
}

/** The `code` of a Node.js system error (`ENOENT`, `EADDRINUSE`), or undefined for any other value. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
