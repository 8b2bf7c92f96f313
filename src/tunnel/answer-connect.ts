import type { CloseProbes } from './close-probes.ts';
import { renderTarget } from './connect-request.ts';
import { type Dial, type DialFailure, type DialOutcome, dialTarget } from './dial-target.ts';
import { dialThroughAgent } from './dial-through-agent.ts';
import type { TunnelMetrics } from './metrics.ts';
import { readConnectRequest } from './read-connect-request.ts';
import { relay } from './relay.ts';
import { sendEstablished, sendRefusal } from './send-answer.ts';
import type { ByteStream, Refusal, RouteDecision, RoutingTable, Target } from './types.ts';

/** How long each step may take, milliseconds. */
export interface TunnelTimeouts {
  /** From accept to the end of the request header. */
  readonly headerMs: number;
  /** TCP connect to the target, from this process. */
  readonly dialMs: number;
  /** From accept to the answer, whoever dials. */
  readonly answerMs: number;
  /** Between two looks at a client that has half-closed. */
  readonly halfClosedProbeMs: number;
}

/** Header and dial together stay under 8 s: kube-apiserver waits without a limit of its own. */
export const defaultTimeouts: TunnelTimeouts = {
  headerMs: 3_000,
  dialMs: 5_000,
  answerMs: 7_500,
  halfClosedProbeMs: 10_000,
};

/** A stream on a session of a node's agent, or why there is none. */
export type OpenedStream =
  | { readonly type: 'stream'; readonly stream: ByteStream }
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly failure: DialFailure };

export interface AnswerContext {
  readonly routes: RoutingTable;
  readonly dial: Dial;
  /** Opens a stream for a decision of type `agent`. */
  readonly openStream: (nodeName: string) => OpenedStream;
  readonly timeouts: TunnelTimeouts;
  /** Finds out that a client has gone away while its target is dialled. */
  readonly probes: CloseProbes;
  /** Of the client; milliseconds of the monotonic clock. */
  readonly acceptedAt: number;
  readonly metrics: TunnelMetrics;
  /** Called once with the target when 200 is written. */
  readonly onAccepted: (target: ByteStream, headerBytes: HeaderBytes) => void;
  /** Called once instead when anything else is answered. `target` is empty when the request was unreadable. */
  readonly onRefused: (target: string, refusal: Refusal) => void;
}

type HeaderBytes = Extract<DialOutcome, { type: 'connected' }>['headerBytes'];

/** Serves one connection of kube-apiserver: read the request, route, dial, answer, relay. Never rejects. */
export async function answerConnect(client: ByteStream, context: AnswerContext): Promise<void> {
  const request = await readConnectRequest(client, context.timeouts.headerMs);
  if (request.type === 'gone') {
    client.destroy();
    return;
  }
  if (request.type === 'invalid') {
    context.onRefused('', request.refusal);
    sendRefusal(client, request.refusal);
    return;
  }
  await answerTarget(client, request.target, context);
}

/** The same once the target is known: route, dial, answer, relay. The client is paused. Never rejects. */
export async function answerTarget(
  client: ByteStream,
  target: Target,
  context: AnswerContext,
): Promise<void> {
  const routed = context.routes.route(target.host, target.port);
  const decision = routed instanceof Promise ? await routed : routed;
  context.metrics.countRouting(decision.rule ?? decision.type);
  if (decision.type === 'refuse') {
    context.onRefused(renderTarget(target), decision);
    sendRefusal(client, decision);
    return;
  }
  const outcome = await reach(client, decision, context);
  if (outcome.type === 'failed') {
    if (client.destroyed) return;
    context.onRefused(renderTarget(target), outcome.refusal);
    sendRefusal(client, outcome.refusal);
    return;
  }
  sendEstablished(client);
  context.onAccepted(outcome.stream, outcome.headerBytes);
  relay(client, outcome.stream, context.timeouts);
}

async function reach(
  client: ByteStream,
  decision: Exclude<RouteDecision, { type: 'refuse' }>,
  context: AnswerContext,
): Promise<DialOutcome> {
  const watched = context.probes.watch(client);
  const finishDial = context.metrics.startDial(decision.type === 'dial' ? 'local' : 'agent');
  const outcome = await dialBy(client, decision, context);
  context.probes.leave(watched);
  finishDial(outcome.type === 'failed' ? outcome.failure : undefined);
  return outcome;
}

function dialBy(
  client: ByteStream,
  decision: Exclude<RouteDecision, { type: 'refuse' }>,
  { timeouts, acceptedAt, dial, openStream }: AnswerContext,
): Promise<DialOutcome> | DialOutcome {
  const leftMs = Math.max(0, timeouts.answerMs - (performance.now() - acceptedAt));
  if (decision.type === 'dial') {
    const timeoutMs = Math.min(timeouts.dialMs, leftMs);
    return dialTarget(decision, { dial, timeoutMs, client });
  }
  const opened = openStream(decision.nodeName);
  if (opened.type === 'refused') return { ...opened, type: 'failed' };
  return dialThroughAgent(decision, { stream: opened.stream, timeoutMs: leftMs, client });
}
