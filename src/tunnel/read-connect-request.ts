import type { Duplex } from 'node:stream';
import { parseConnectRequest } from './connect-request.ts';
import { clearDeadline, setDeadline } from './deadlines.ts';
import { ownCopy } from './own-copy.ts';
import type { Refusal, Target } from './types.ts';

export type ReadOutcome =
  | { readonly type: 'request'; readonly target: Target }
  | { readonly type: 'invalid'; readonly refusal: Refusal }
  /** The client ended or vanished before its request was complete. */
  | { readonly type: 'gone' };

/**
 * Reads one CONNECT header. The stream is paused then, with the bytes after the header put back for the target, and
 * `done` is called, once: no promise, of which a burst of connections would make thousands.
 */
export function readConnectRequest(
  client: Duplex,
  timeoutMs: number,
  done: (outcome: ReadOutcome) => void,
): void {
  let received: Buffer | undefined;
  const finish = (outcome: ReadOutcome, rest?: Buffer) => {
    clearDeadline(deadline);
    client.off('data', onData).off('end', onGone).off('close', onGone).pause();
    // It may wait until a target is dialled.
    if (rest !== undefined && rest.length > 0) client.unshift(ownCopy(rest));
    done(outcome);
  };
  const onGone = () => finish({ type: 'gone' });
  const onData = (chunk: Buffer) => {
    const header = received === undefined ? chunk : Buffer.concat([received, chunk]);
    const parsed = parseConnectRequest(header);
    if (parsed.type === 'request') finish(parsed, header.subarray(parsed.headerBytes));
    else if (parsed.type === 'invalid') finish({ type: 'invalid', refusal: parsed });
    else received = received === undefined ? ownCopy(chunk) : header;
  };
  const deadline = setDeadline(timeoutMs, () => {
    const reason = `no complete CONNECT request within ${timeoutMs / 1000} s`;
    finish({ type: 'invalid', refusal: { status: 408, reason } });
  });
  client.on('data', onData).on('end', onGone).on('close', onGone);
  // Whose SYN has just arrived: its request is handed over as it comes, and waits in no queue.
  client.read(0);
}
