import { type AgentAllowList, checkAllowed } from './agent-allow-list.ts';
import { renderTarget } from './connect-request.ts';
import { type Dial, dialTarget } from './dial-target.ts';
import type { DialTimes } from './dial-times.ts';
import { ignoreError } from './ignore-error.ts';
import { type ReceiveOptions, receiveConnect } from './receive-connect.ts';
import { relay } from './relay.ts';
import { sendEstablished, sendRefusal } from './send-answer.ts';
import type { ByteStream, Refusal, Target } from './types.ts';

export interface ServeContext extends ReceiveOptions {
  readonly allowList: () => AgentAllowList;
  readonly dial: Dial;
  readonly dialMs: number;
  readonly dials: DialTimes;
  readonly onAccepted: () => void;
}

/** Serves one stream of a controller: read CONNECT, check, dial, answer, relay. 200 only once connected. */
export function serveAgentStream(stream: ByteStream, context: ServeContext): void {
  stream.on('error', ignoreError);
  receiveConnect(stream, context, (target) => serveTarget(stream, target, context));
}

function serveTarget(stream: ByteStream, target: Target, context: ServeContext): void {
  const refuse = (refusal: Refusal) => {
    context.onRefused(renderTarget(target), refusal);
    sendRefusal(stream, refusal);
  };
  const decision = checkAllowed(context.allowList(), target);
  if (decision.type === 'refuse') {
    refuse(decision);
    return;
  }
  const { dial, dialMs: timeoutMs, dials } = context;
  const startedAt = dials.begin();
  dialTarget(decision, { dial, timeoutMs, client: stream }, (outcome) => {
    const isFailed = outcome.type === 'failed';
    dials.end('local', startedAt, isFailed ? outcome.failure : undefined);
    if (!isFailed) {
      context.onAccepted();
      sendEstablished(stream);
      relay(stream, outcome.stream, {});
    } else if (!stream.destroyed) {
      refuse(outcome.refusal);
    }
  });
}
