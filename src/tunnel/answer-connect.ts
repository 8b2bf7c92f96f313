import type { Socket } from 'node:net';
import { parseConnectRequest, renderTarget } from './connect-request.ts';
import { type Dial, dialTarget, type Refusal } from './dial-target.ts';
import { relay } from './relay.ts';
import type { RoutingTable, Target } from './types.ts';

/** How long each step may take, milliseconds. Header and dial together stay under 8 s. */
export interface TunnelTimeouts {
  /** From accept to the end of the request header. */
  readonly headerMs: number;
  /** TCP connect to the target. */
  readonly dialMs: number;
  /** Between two looks at a client that has half-closed. */
  readonly halfClosedProbeMs: number;
}

export interface AnswerContext {
  readonly routes: RoutingTable;
  readonly dial: Dial;
  readonly timeouts: TunnelTimeouts;
  /** Called once with the target when 200 is written. */
  readonly onAccepted: (target: Socket) => void;
  /** Called once instead when anything else is answered. `target` is empty when the request was unreadable. */
  readonly onRefused: (target: string, refusal: Refusal) => void;
}

type ReadOutcome =
  | { readonly type: 'request'; readonly target: Target }
  | { readonly type: 'invalid'; readonly refusal: Refusal }
  | { readonly type: 'gone' };

/** Serves one connection of kube-apiserver: read the request, route, dial, answer, relay. Never rejects. */
export async function answerConnect(client: Socket, context: AnswerContext): Promise<void> {
  const request = await readRequest(client, context.timeouts.headerMs);
  if (request.type === 'gone') {
    client.destroy();
    return;
  }
  const refuse = (target: string, refusal: Refusal) => {
    context.onRefused(target, refusal);
    sendRefusal(client, refusal);
  };
  if (request.type === 'invalid') {
    refuse('', request.refusal);
    return;
  }
  const name = renderTarget(request.target);
  const decision = context.routes.route(request.target.host, request.target.port);
  if (decision.type === 'refuse') {
    refuse(name, decision);
    return;
  }
  const clientGone = new AbortController();
  const onClose = () => clientGone.abort();
  client.once('close', onClose);
  const outcome = await dialTarget(decision, {
    dial: context.dial,
    timeoutMs: context.timeouts.dialMs,
    signal: clientGone.signal,
  });
  client.off('close', onClose);
  if (outcome.type === 'failed') {
    if (!client.destroyed) refuse(name, outcome.refusal);
    return;
  }
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  context.onAccepted(outcome.socket);
  relay(client, outcome.socket, context.timeouts.halfClosedProbeMs);
}

/** Leaves the socket paused, with the bytes after the header put back for the target. */
function readRequest(client: Socket, timeoutMs: number): Promise<ReadOutcome> {
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

/** The reason phrase is the message: kube-apiserver drops headers and body. */
function sendRefusal(client: Socket, refusal: Refusal): void {
  const reason = refusal.reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 400);
  client.write(
    `HTTP/1.1 ${refusal.status} ${reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
  );
  client.destroySoon();
}
