import { throwCollected, type UserError } from '../base/errors.ts';
import { certificateBlocks } from '../pki/pem.ts';
import { parseJoinDocument } from './document.ts';
import {
  askGateway,
  checkAddress,
  type GatewayAnswer,
  type GatewayAttempt,
  type GatewayClientOptions,
  type GatewayRequest,
  openGateway,
  type TlsCredentials,
} from './gateway-connection.ts';
import { GatewayError, isFinal } from './gateway-error.ts';
import { joinPaths } from './join-paths.ts';
import type { RefusalReason } from './join-refusal.ts';
import type { JoinDocument, JoinRequest, JoinToken } from './types.ts';
import { pinOf, verifyGateway } from './verify-gateway.ts';

export interface JoinResult {
  readonly document: JoinDocument;
  /** `host:port` of the gateway that answered. */
  readonly server: string;
}

/** What a member has from its join, and its kubelet's certificate. */
export interface RefreshOptions {
  /** `host:port`, in the order in which they are tried. */
  readonly gateways: readonly string[];
  /** PEM. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * Makes this machine a member: the token's servers are tried in order, and nothing is sent to any before it has shown
 * the certificate that the token's pin is of.
 * @throws GatewayError, or UserErrors with one of each server; the signal's reason when it aborts.
 */
export async function joinCluster(
  token: JoinToken,
  request: JoinRequest,
  options: GatewayClientOptions,
  signal: AbortSignal,
): Promise<JoinResult> {
  const what = 'join the cluster';
  return await showToken({ token, request, what, path: joinPaths.nodes }, options, signal);
}

/**
 * What `joinCluster` would get, without becoming a member: no controller remembers that this machine asked.
 * @throws GatewayError, or UserErrors with one of each server; the signal's reason when it aborts.
 */
export async function previewJoin(
  token: JoinToken,
  request: JoinRequest,
  options: GatewayClientOptions,
  signal: AbortSignal,
): Promise<JoinResult> {
  const what = 'plan a join';
  return await showToken({ token, request, what, path: joinPaths.dryRun }, options, signal);
}

interface TokenRequest {
  readonly token: JoinToken;
  readonly request: JoinRequest;
  /** For errors, without the server. */
  readonly what: string;
  readonly path: string;
}

async function showToken(
  { token, request, what, path }: TokenRequest,
  options: GatewayClientOptions,
  signal: AbortSignal,
): Promise<JoinResult> {
  return await firstAnswer(token.servers, async (server) => {
    const attempt = { server, what: `${what} through ${server}`, options, signal };
    const ca = await verifyGateway(attempt, [token.caPin]);
    const authorization = `Bearer ${token.id}.${token.secret}`;
    const body = JSON.stringify(request);
    const answer = await post(attempt, { ca }, { path, authorization, body });
    return readDocument(attempt, answer, [token.caPin]);
  });
}

/**
 * Asks again, as the member that this machine is, and reports its present addresses.
 * @throws GatewayError, or UserErrors with one of each server; the signal's reason when it aborts.
 */
export async function refreshDocument(
  membership: RefreshOptions,
  request: JoinRequest,
  options: GatewayClientOptions,
  signal: AbortSignal,
): Promise<JoinResult> {
  const { ca, cert, key } = membership;
  const pins = certificateBlocks(ca).map(pinOf);
  return await firstAnswer(membership.gateways, async (server) => {
    const attempt = { server, what: `ask ${server} for the cluster's state`, options, signal };
    await verifyGateway(attempt, pins);
    const body = JSON.stringify(request);
    const answer = await post(attempt, { ca, cert, key }, { path: joinPaths.refresh, body });
    return readDocument(attempt, answer, pins);
  });
}

async function firstAnswer(
  servers: readonly string[],
  ask: (server: string) => Promise<JoinDocument>,
): Promise<JoinResult> {
  const errors: UserError[] = [];
  for (const server of servers) {
    try {
      return { document: await ask(server), server };
    } catch (error) {
      if (isFinal(error)) throw error;
      errors.push(error as GatewayError);
    }
  }
  throwCollected(errors);
  throw new Error('no server was given');
}

async function post(
  attempt: GatewayAttempt,
  credentials: TlsCredentials,
  request: Omit<GatewayRequest, 'method'>,
): Promise<GatewayAnswer> {
  const tls = await openGateway(attempt, credentials);
  return await askGateway(attempt, tls, { method: 'POST', ...request });
}

function readDocument(
  attempt: GatewayAttempt,
  answer: GatewayAnswer,
  pins: readonly string[],
): JoinDocument {
  if (answer.status !== 200) throw explainRefusal(attempt, answer);
  try {
    const document = parseJoinDocument(JSON.parse(answer.text));
    const isSameCluster = certificateBlocks(document.ca).some((pem) => pins.includes(pinOf(pem)));
    if (!isSameCluster) throw new SyntaxError('ca is not that of the connection');
    return document;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new GatewayError('not-a-gateway', {
      what: attempt.what,
      why: `its join document cannot be used: ${error.message}`,
      fix: 'use the same version of mini-k8s on this machine and on the controllers',
      cause: error,
    });
  }
}

function explainRefusal(attempt: GatewayAttempt, answer: GatewayAnswer): GatewayError {
  const { what } = attempt;
  const said = readRefusal(answer.text);
  if (said === undefined) {
    return new GatewayError('not-a-gateway', {
      what,
      why: `it answers with HTTP status ${answer.status} and no reason`,
      fix: checkAddress(attempt),
    });
  }
  const { reason, message, fix } = said;
  return new GatewayError(answer.status >= 500 ? 'not-ready' : 'refused', {
    what,
    why: message,
    ...(fix === undefined ? {} : { fix }),
    reason,
  });
}

interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
  readonly fix?: string;
}

function readRefusal(text: string): Refusal | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<'reason' | 'message' | 'fix', unknown>> | null;
    if (typeof value?.reason !== 'string' || typeof value.message !== 'string') return undefined;
    return {
      reason: value.reason as RefusalReason,
      message: printable(value.message),
      ...(typeof value.fix === 'string' ? { fix: printable(value.fix) } : {}),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** It goes to a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, ' ').slice(0, 1000);
}
