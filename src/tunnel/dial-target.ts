import type { Socket } from 'node:net';
import { errorCode, errorMessage } from '../base/errors.ts';
import { clearDeadline, setDeadline } from './deadlines.ts';
import { ignoreError } from './ignore-error.ts';
import type { ByteStream, DialDecision, Refusal } from './types.ts';

/** Opens a TCP connection to an IPv4 address; returns at once, as `net.connect` does. Must allow half-open sockets. */
export type Dial = (address: string, port: number) => Socket;

/** Why a target was not reached, for the metrics. */
export type DialFailure =
  | 'no-session'
  | 'busy'
  | 'session-lost'
  | 'agent-refused'
  | 'target-failed'
  | 'timeout'
  | 'client-gone';

/** Bytes of a stream's counters that are no payload. */
export interface HeaderBytes {
  readonly written: number;
  readonly read: number;
}

export const noHeader: HeaderBytes = { written: 0, read: 0 };

export type DialOutcome =
  | {
      readonly type: 'connected';
      readonly stream: ByteStream;
      readonly headerBytes: HeaderBytes;
    }
  | { readonly type: 'failed'; readonly refusal: Refusal; readonly failure: DialFailure };

export interface DialOptions {
  readonly dial: Dial;
  readonly timeoutMs: number;
  /** Who asks: when it closes, the attempt ends. */
  readonly client: ByteStream;
}

/** Connects within `timeoutMs`, or says in operators' words why not. `done` is called once, perhaps before this returns. */
export function dialTarget(
  decision: DialDecision,
  options: DialOptions,
  done: (outcome: DialOutcome) => void,
): void {
  const socket = options.dial(decision.address, decision.port);
  const finish = (outcome: DialOutcome) => {
    clearDeadline(deadline);
    options.client.off('close', onGone);
    socket.off('connect', onConnect).off('error', onError).on('error', ignoreError);
    if (outcome.type === 'failed') socket.destroy();
    done(outcome);
  };
  const fail = (code: string) =>
    finish({
      type: 'failed',
      refusal: describeDialFailure(decision, code, options.timeoutMs),
      failure: failuresByCode[code] ?? 'target-failed',
    });
  const onConnect = () => finish({ type: 'connected', stream: socket, headerBytes: noHeader });
  const onGone = () => fail('ECANCELED');
  const onError = (error: Error) => fail(errorCode(error) ?? errorMessage(error));
  const deadline = setDeadline(options.timeoutMs, () => fail('ETIMEDOUT'));
  options.client.on('close', onGone);
  socket.on('connect', onConnect).on('error', onError);
  if (options.client.destroyed) onGone();
}

const failuresByCode: Readonly<Record<string, DialFailure>> = {
  ECANCELED: 'client-gone',
  ETIMEDOUT: 'timeout',
};

/** The status and reason phrase for a failed connect. Pure. */
export function describeDialFailure(
  decision: DialDecision,
  code: string,
  timeoutMs: number,
): Refusal {
  const { subject } = decision;
  switch (code) {
    case 'ECONNREFUSED':
      return {
        status: 502,
        reason: `${subject} refuses connections on ${decision.address}:${decision.port}`,
      };
    case 'ETIMEDOUT':
      return {
        status: 504,
        reason: `${subject} did not answer within ${Number((timeoutMs / 1000).toFixed(1))} s`,
      };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return { status: 502, reason: `no route to ${subject} (${code})` };
    case 'EMFILE':
    case 'ENFILE':
      return { status: 503, reason: `tunnel is out of file descriptors, cannot reach ${subject}` };
    default:
      return { status: 502, reason: `cannot connect to ${subject}: ${code}` };
  }
}
