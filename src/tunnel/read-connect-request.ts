import type { Duplex } from 'node:stream';
import { parseConnectRequest } from './connect-request.ts';
import type { Refusal, Target } from './types.ts';

export type ReadOutcome =
  | { readonly type: 'request'; readonly target: Target }
  | { readonly type: 'invalid'; readonly refusal: Refusal }
  /** The client ended or vanished before its request was complete. */
  | { readonly type: 'gone' };

/** Reads one CONNECT header. Leaves the stream paused, with the bytes after the header put back for the target. */
export function readConnectRequest(client: Duplex, timeoutMs: number): Promise<ReadOutcome> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    const finish = (outcome: ReadOutcome) => {
      clearTimeout(timer);
      client.off('data', onData).off('end', onGone).off('close', onGone).pause();
      resolve(outcome);
    };
    const onGone = () => finish({ type: 'gone' });
    const onData = (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const parsed = parseConnectRequest(received);
      if (parsed.type === 'incomplete') return;
      if (parsed.type === 'invalid') {
        finish({ type: 'invalid', refusal: parsed });
        return;
      }
      finish({ type: 'request', target: parsed.target });
      if (received.length > parsed.headerBytes)
        client.unshift(received.subarray(parsed.headerBytes));
    };
    const timer = setTimeout(() => {
      const reason = `no complete CONNECT request within ${timeoutMs / 1000} s`;
      finish({ type: 'invalid', refusal: { status: 408, reason } });
    }, timeoutMs);
    client.on('data', onData).on('end', onGone).on('close', onGone);
  });
}
