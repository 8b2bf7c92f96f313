import type { CloseProbes } from './close-probes.ts';
import { renderTarget } from './connect-request.ts';
import {
  type Dial,
  type DialFailure,
  type DialOutcome,
  dialTarget,
  type HeaderBytes,
} from './dial-target.ts';
import { dialThroughAgent } from './dial-through-agent.ts';
import type { TunnelMetrics } from './metrics.ts';
import { receiveConnect } from './receive-connect.ts';
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

/** What all connections have in common. */
export interface AnswerContext<C extends Connection> {
  readonly routes: RoutingTable;
  readonly dial: Dial;
  /** Opens a stream for a decision of type `agent`. */
  readonly openStream: (nodeName: string) => OpenedStream;
  readonly timeouts: TunnelTimeouts;
  /** Finds out that a client has gone away while its target is dialled. */
  readonly probes: CloseProbes;
  readonly metrics: TunnelMetrics;
  /** Called once with the target when 200 is written. */
  readonly onAccepted: (connection: C, target: ByteStream, header: HeaderBytes) => void;
  /** Called once instead when anything else is answered. `target` is empty when the request was unreadable. */
  readonly onRefused: (target: string, refusal: Refusal) => void;
}

/** One client. */
export interface Connection {
  readonly client: ByteStream;
  /** Milliseconds of the monotonic clock. */
  readonly acceptedAt: number;
}

type Reachable = Exclude<RouteDecision, { type: 'refuse' }>;

/** Serves one connection of kube-apiserver: read the request, route, dial, answer, relay. */
export function answerConnect<C extends Connection>(
  connection: C,
  context: AnswerContext<C>,
): void {
  const { timeouts, onRefused } = context;
  receiveConnect(connection.client, { headerMs: timeouts.headerMs, onRefused }, (target) =>
    answerTarget(connection, target, context),
  );
}

/** The same once the target is known: route, dial, answer, relay. The client is paused. */
export function answerTarget<C extends Connection>(
  connection: C,
  target: Target,
  context: AnswerContext<C>,
): void {
  const decision = context.routes.route(target.host, target.port);
  if (!(decision instanceof Promise)) follow(connection, { target, decision }, context);
  else void decision.then((found) => follow(connection, { target, decision: found }, context));
}

function follow<C extends Connection>(
  connection: C,
  { target, decision }: { readonly target: Target; readonly decision: RouteDecision },
  context: AnswerContext<C>,
): void {
  const { client } = connection;
  context.metrics.countRouting(decision.rule ?? decision.type);
  const refuse = (refusal: Refusal) => {
    context.onRefused(renderTarget(target), refusal);
    sendRefusal(client, refusal);
  };
  if (decision.type === 'refuse') {
    refuse(decision);
    return;
  }
  const watched = context.probes.watch(client);
  const startedAt = context.metrics.dials.begin();
  dialBy(connection, decision, context, (outcome) => {
    context.probes.leave(watched);
    const isFailed = outcome.type === 'failed';
    const kind = decision.type === 'dial' ? 'local' : 'agent';
    context.metrics.dials.end(kind, startedAt, isFailed ? outcome.failure : undefined);
    if (!isFailed) {
      sendEstablished(client);
      context.onAccepted(connection, outcome.stream, outcome.headerBytes);
      relay(client, outcome.stream, context.timeouts);
    } else if (!client.destroyed) {
      refuse(outcome.refusal);
    }
  });
}

function dialBy(
  { client, acceptedAt }: Connection,
  decision: Reachable,
  {
    timeouts,
    dial,
    openStream,
  }: Pick<AnswerContext<Connection>, 'timeouts' | 'dial' | 'openStream'>,
  done: (outcome: DialOutcome) => void,
): void {
  const leftMs = Math.max(0, timeouts.answerMs - (performance.now() - acceptedAt));
  if (decision.type === 'dial') {
    const timeoutMs = Math.min(timeouts.dialMs, leftMs);
    dialTarget(decision, { dial, timeoutMs, client }, done);
    return;
  }
  const opened = openStream(decision.nodeName);
  if (opened.type === 'refused') done({ ...opened, type: 'failed' });
  else dialThroughAgent(decision, { stream: opened.stream, timeoutMs: leftMs, client }, done);
}
