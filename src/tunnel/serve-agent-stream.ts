import { type AgentAllowList, checkAllowed } from './agent-allow-list.ts';
import { renderTarget } from './connect-request.ts';
import { type Dial, dialTarget } from './dial-target.ts';
import type { DialTimes } from './dial-times.ts';
import { ignoreError } from './ignore-error.ts';
import { readConnectRequest } from './read-connect-request.ts';
import { relay } from './relay.ts';
import { sendEstablished, sendRefusal } from './send-answer.ts';
import type { ByteStream, Refusal } from './types.ts';

export interface ServeContext {
  readonly allowList: () => AgentAllowList;
  readonly dial: Dial;
  readonly headerMs: number;
  readonly dialMs: number;
  readonly dials: DialTimes;
  readonly onAccepted: () => void;
  /** `target` is empty when the request was unreadable. */
  readonly onRefused: (target: string, refusal: Refusal) => void;
}

/** Serves one stream of a controller: read CONNECT, check, dial, answer, relay. 200 only once connected. Never rejects. */
export async function serveAgentStream(stream: ByteStream, context: ServeContext): Promise<void> {
  stream.on('error', ignoreError);
  const request = await readConnectRequest(stream, context.headerMs);
  if (request.type === 'gone') {
    stream.destroy();
    return;
  }
  const refuse = (target: string, refusal: Refusal) => {
    context.onRefused(target, refusal);
    sendRefusal(stream, refusal);
  };
  if (request.type === 'invalid') {
    refuse('', request.refusal);
    return;
  }
  const name = renderTarget(request.target);
  const decision = checkAllowed(context.allowList(), request.target);
  if (decision.type === 'refuse') {
    refuse(name, decision);
    return;
  }
  const finishDial = context.dials.start('local');
  const outcome = await dialTarget(decision, {
    dial: context.dial,
    timeoutMs: context.dialMs,
    client: stream,
  });
  finishDial(outcome.type === 'failed' ? outcome.failure : undefined);
  if (outcome.type === 'failed') {
    if (!stream.destroyed) refuse(name, outcome.refusal);
    return;
  }
  context.onAccepted();
  sendEstablished(stream);
  relay(stream, outcome.stream, {});
}
