import { UserError, type UserErrorOptions } from '../base/errors.ts';
import type { RefusalReason } from './join-refusal.ts';

/**
 * - `unreachable`: no connection.
 * - `not-a-gateway`: something else answers there.
 * - `pin-mismatch`: a gateway of another cluster, or somebody in its place.
 * - `clock`: one of the clocks is wrong. `certificate`: the gateway's has really expired.
 * - `refused`: the controller says no; another one would say the same.
 * - `not-ready`: the controller cannot say anything now.
 */
export type GatewayFailure =
  | 'unreachable'
  | 'not-a-gateway'
  | 'pin-mismatch'
  | 'clock'
  | 'certificate'
  | 'refused'
  | 'not-ready';

/** What went wrong between a machine and one gateway, for the user and for the program. */
export class GatewayError extends UserError {
  readonly failure: GatewayFailure;
  /** What the controller said; only with `refused` and `not-ready`. */
  readonly reason: RefusalReason | undefined;

  constructor(
    failure: GatewayFailure,
    options: UserErrorOptions & { readonly reason?: RefusalReason | undefined },
  ) {
    super(options);
    this.name = 'GatewayError';
    this.failure = failure;
    this.reason = options.reason;
  }
}

/** One server of several: the next may do better, unless the controller has spoken. */
export function isFinal(error: unknown): boolean {
  return !(error instanceof GatewayError) || error.failure === 'refused';
}
