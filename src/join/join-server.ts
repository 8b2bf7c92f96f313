import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage } from '../base/errors.ts';
import type { HttpRoute, Peer } from '../base/http-route.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { KubeApiError, KubeConnectionError } from '../kube-client/errors.ts';
import { type AdmissionFacts, admitJoin, admitRefresh, isTwoMachines } from './admit-node.ts';
import type { TokenCheck } from './check-token.ts';
import { joinPaths } from './join-paths.ts';
import type { JoinRecord, JoinRecords } from './join-records.ts';
import { JoinRefusal } from './join-refusal.ts';
import { readJoinRequest } from './join-request.ts';
import { nodeNameOf } from './node-name.ts';
import { readJsonBody } from './read-body.ts';
import { siteOf } from './site.ts';
import type { JoinDocument, JoinRequest, NodeSite } from './types.ts';

export interface JoinRouteOptions {
  readonly tokens: TokenCheck;
  readonly records: JoinRecords;
  /** A node by this name is Ready or has a tunnel session; true for the names of controllers, always. */
  readonly isAlive: (nodeName: string) => boolean | Promise<boolean>;
  /** What this machine is told. */
  readonly describeDocument: (
    request: JoinRequest,
    site: NodeSite,
  ) => JoinDocument | Promise<JoinDocument>;
  /** Told of each machine that was let in or asked again: where it is. */
  readonly onAdmitted?: (nodeName: string, site: NodeSite) => void;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** While a machine waits for its answer, milliseconds. */
const answerTimeoutMs = 20_000;

/**
 * The join API. `POST nodes` with a join token makes a machine a member; `POST dry-run` answers the same and remembers
 * nothing, on a path of its own so that a controller that does not know it cannot take it for a join; `POST refresh`
 * with the node's certificate tells it what has changed. All take a JoinRequest and answer a JoinDocument, or
 * `{reason, message, fix}`.
 */
export function createJoinRoute(options: JoinRouteOptions): HttpRoute {
  return {
    prefix: joinPaths.prefix,
    async handle(request, response, peer) {
      try {
        const document = await answer(options, request, peer);
        sendJson(response, 200, document);
      } catch (error) {
        const refusal = toRefusal(error);
        if (refusal === undefined) throw error;
        const what = error === refusal ? '' : ` (${errorMessage(error)})`;
        const { status, message } = refusal;
        options.logger.warn(`join from ${peer.remoteAddress} refused: ${status} ${message}${what}`);
        sendRefusal(response, refusal);
      }
    },
  };
}

async function answer(
  options: JoinRouteOptions,
  request: IncomingMessage,
  peer: Peer,
): Promise<JoinDocument> {
  const serve = handlers[pathOf(request)];
  if (serve === undefined) throw badRequest(404, 'the join API has no such path');
  if (request.method !== 'POST') throw badRequest(405, 'only POST is served here');
  return await serve(options, { request, peer, signal: AbortSignal.timeout(answerTimeoutMs) });
}

interface Call {
  readonly request: IncomingMessage;
  readonly peer: Peer;
  readonly signal: AbortSignal;
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}

const handlers: Readonly<Record<string, typeof join>> = {
  [joinPaths.nodes]: join,
  [joinPaths.dryRun]: join,
  [joinPaths.refresh]: refresh,
};

async function join(options: JoinRouteOptions, call: Call): Promise<JoinDocument> {
  const { request, peer, signal } = call;
  const { authorization } = request.headers;
  const { remoteAddress } = peer;
  const token = await options.tokens.check({ authorization, remoteAddress, signal }, 'worker');
  const { asked, site } = await readRequest(call);
  const { nodeName, machineId } = asked;
  const isAlive = await options.isAlive(nodeName);
  const nowMs = options.clock.now();
  const admit = (current: JoinRecord | undefined) =>
    admitJoin({ request: asked, site, current, isAlive, nowMs }, token.id);
  // Told before it is remembered: a machine that got no answer has not joined.
  const document = await options.describeDocument(asked, site);
  const origin = `with token ${token.id} from ${remoteAddress}, site ${site.name}`;
  if (pathOf(request) === joinPaths.dryRun) {
    admit(await options.records.get(nodeName, signal));
    options.logger.info(`machine ${machineId} asked what it would be as ${nodeName} ${origin}`);
    return document;
  }
  await options.records.update(nodeName, admit, signal);
  options.onAdmitted?.(nodeName, site);
  options.logger.info(`machine ${machineId} joined as node ${nodeName} ${origin}`);
  return document;
}

async function refresh(options: JoinRouteOptions, call: Call): Promise<JoinDocument> {
  const { peer, signal } = call;
  const nodeName = peer.certificate === undefined ? undefined : nodeNameOf(peer.certificate);
  if (nodeName === undefined) {
    throw new JoinRefusal({
      status: 401,
      reason: 'CertificateMissing',
      message: 'the request has no valid certificate of a node',
      fix: 'join with a fresh token of: mini-k8s token create',
    });
  }
  const { asked, site } = await readRequest(call);
  if (asked.nodeName !== nodeName) {
    throw badRequest(
      403,
      `the certificate is of node ${nodeName}, and the request of ${asked.nodeName}`,
    );
  }
  const document = await options.describeDocument(asked, site);
  const nowMs = options.clock.now();
  await options.records.update(
    nodeName,
    (current) => admitKnown(options.logger, { request: asked, site, current, nowMs }),
    signal,
  );
  options.onAdmitted?.(nodeName, site);
  return document;
}

function admitKnown(logger: Logger, facts: Omit<AdmissionFacts, 'isAlive'>) {
  const record = admitRefresh(facts);
  if (isTwoMachines(facts.request, facts.current)) {
    logger.error(
      `two machines use the identity of node ${facts.request.nodeName}: boot ${facts.request.bootId} was replaced by ${facts.current?.bootId} and is back`,
    );
  }
  return record;
}

async function readRequest(call: Call): Promise<{ asked: JoinRequest; site: NodeSite }> {
  const result = readJoinRequest(await readJsonBody(call.request));
  if ('problem' in result) throw badRequest(400, result.problem);
  const asked = result.request;
  return { asked, site: siteOf(call.peer.remoteAddress, asked) };
}

function badRequest(status: number, message: string): JoinRefusal {
  return new JoinRefusal({ status, reason: 'BadRequest', message });
}

/** What went wrong behind us is none of the machine's business, but that it may try again is. */
function toRefusal(error: unknown): JoinRefusal | undefined {
  if (error instanceof JoinRefusal) return error;
  const isBehindUs =
    error instanceof KubeConnectionError ||
    error instanceof KubeApiError ||
    (error instanceof DOMException && error.name === 'TimeoutError');
  if (!isBehindUs) return undefined;
  return new JoinRefusal({
    status: 503,
    reason: 'NotReady',
    message: 'the API of the cluster does not answer its controller',
    fix: 'try again in a minute; on the controller, look at: mini-k8s status',
    retryAfterSeconds: 5,
  });
}

function sendRefusal(response: ServerResponse, refusal: JoinRefusal): void {
  const { reason, message, fix, retryAfterSeconds } = refusal;
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', retryAfterSeconds);
  // What is left of a body that was too long is not read.
  response.setHeader('Connection', 'close');
  sendJson(response, refusal.status, { reason, message, ...(fix === undefined ? {} : { fix }) });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  });
  response.end(body);
}
