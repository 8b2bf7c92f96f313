/** Why a controller does not do what a machine asks; for programs. */
export type RefusalReason =
  | 'BadRequest'
  | 'TokenMissing'
  | 'TokenUnknown'
  | 'TokenExpired'
  | 'TokenRevoked'
  | 'TokenWrongRole'
  | 'TooManyFailures'
  | 'CertificateMissing'
  | 'NodeRemoved'
  | 'NodeUnknown'
  | 'NameTaken'
  | 'NotReady';

export interface RefusalOptions {
  /** HTTP status. */
  readonly status: number;
  readonly reason: RefusalReason;
  /** One sentence for people, with real values and no secret. */
  readonly message: string;
  /** One action. */
  readonly fix?: string;
  readonly retryAfterSeconds?: number;
}

/** An answer of the join API that is not 200. */
export class JoinRefusal extends Error {
  readonly status: number;
  readonly reason: RefusalReason;
  readonly fix: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(options: RefusalOptions) {
    super(options.message);
    this.name = 'JoinRefusal';
    this.status = options.status;
    this.reason = options.reason;
    this.fix = options.fix;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}
