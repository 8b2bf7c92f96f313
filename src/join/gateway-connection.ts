import { type IncomingMessage, request as sendRequest } from 'node:http';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { DialError } from '../base/dial-error.ts';
import { errorCode, errorMessage } from '../base/errors.ts';
import { gatewayServerName } from '../base/gateway-names.ts';
import { type HostPort, parseHostPort, renderHostPort } from '../base/host-port.ts';
import type { Clock } from '../base/time.ts';
import { GatewayError } from './gateway-error.ts';
import { defaultGatewayPort } from './token.ts';

/** How a machine speaks to gateways. */
export interface GatewayClientOptions {
  /** A connected TCP socket, through a proxy where one is configured. @throws DialError */
  readonly dial: (server: HostPort, signal: AbortSignal) => Promise<Socket>;
  readonly clock: Clock;
  /** 10 s unless given, milliseconds. */
  readonly handshakeTimeoutMs?: number;
  /** 30 s unless given, milliseconds. */
  readonly answerTimeoutMs?: number;
}

/** The attempt to use one gateway. */
export interface GatewayAttempt {
  /** `host:port`. */
  readonly server: string;
  /** The act, as it continues "Cannot …": `join the cluster through 10.0.0.4:9443`. */
  readonly what: string;
  readonly options: GatewayClientOptions;
  readonly signal: AbortSignal;
}

/** Whom the client believes, and who it is. Without `ca` nobody is believed: for looking at the certificates only. */
export interface TlsCredentials {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface GatewayRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly authorization?: string;
  readonly body?: string;
}

export interface GatewayAnswer {
  readonly status: number;
  readonly date: string | undefined;
  readonly text: string;
}

/** A document with a long list of images has some hundred kilobytes. */
const maxAnswerBytes = 4 * 1024 * 1024;

/**
 * A TLS 1.3 connection after its handshake; the caller destroys it. With `ca` the server's certificate is of that CA
 * and for the gateways' name; without, it must be looked at before anything is sent.
 * @throws GatewayError; the signal's reason when it aborts.
 */
export async function openGateway(
  attempt: GatewayAttempt,
  credentials: TlsCredentials,
): Promise<TLSSocket> {
  const { options, signal } = attempt;
  const socket = await dialGateway(attempt);
  const tls = connect({
    socket,
    servername: gatewayServerName,
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.3',
    rejectUnauthorized: credentials.ca !== undefined,
    ...credentials,
  });
  // Stays: a late error must not end the process. `close` tells the user of the socket.
  tls.on('error', () => {});
  try {
    await within(signal, options.handshakeTimeoutMs ?? 10_000, (limit) => secured(tls, limit));
    return tls;
  } catch (error) {
    tls.destroy();
    socket.destroy();
    signal.throwIfAborted();
    throw explainHandshake(attempt, error);
  }
}

/**
 * One request and its whole answer. The connection is used up.
 * @throws GatewayError when no answer comes; the signal's reason when it aborts.
 */
export async function askGateway(
  attempt: GatewayAttempt,
  tls: TLSSocket,
  request: GatewayRequest,
): Promise<GatewayAnswer> {
  const { options, signal } = attempt;
  try {
    return await within(signal, options.answerTimeoutMs ?? 30_000, (limit) =>
      exchange(tls, request, limit),
    );
  } catch (error) {
    signal.throwIfAborted();
    throw new GatewayError('not-a-gateway', {
      what: attempt.what,
      why: `it gave no answer: ${errorMessage(error)}`,
      fix: 'try again; on the controller, look at: mini-k8s status',
      cause: error,
    });
  } finally {
    tls.destroy();
  }
}

async function dialGateway({ server, what, options, signal }: GatewayAttempt): Promise<Socket> {
  const address = parseHostPort(server, defaultGatewayPort);
  if (address === undefined) throw new TypeError(`not a server: ${server}`);
  try {
    return await options.dial(address, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DialError)) throw error;
    throw new GatewayError('unreachable', {
      what,
      why: error.message,
      fix: error.isOfProxy
        ? `let the proxy open connections to ${renderHostPort(address)}, or set HTTPS_PROXY and NO_PROXY right`
        : `open TCP port ${address.port} on ${address.host} for this machine, or make a token with another address: mini-k8s token create --server HOST:PORT`,
      cause: error,
    });
  }
}

/** @throws Error with the code ETIMEDOUT when the time is over. */
async function within<T>(
  signal: AbortSignal,
  timeoutMs: number,
  act: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const expired = () =>
    Object.assign(new Error(`nothing came within ${timeoutMs / 1000} s`), { code: 'ETIMEDOUT' });
  const timer = setTimeout(() => limit.abort(expired()), timeoutMs);
  const forward = () => limit.abort(signal.reason);
  signal.addEventListener('abort', forward);
  if (signal.aborted) forward();
  try {
    return await act(limit.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', forward);
  }
}

function secured(tls: TLSSocket, limit: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('it closed the connection'));
    const aborted = () => reject(limit.reason);
    tls.once('secureConnect', resolve).once('error', reject).once('close', closed);
    limit.addEventListener('abort', aborted);
    if (limit.aborted) aborted();
  });
}

function explainHandshake(attempt: GatewayAttempt, error: unknown): GatewayError {
  const { what } = attempt;
  const code = errorCode(error) ?? '';
  const why = /^(CERT_|DEPTH_|SELF_SIGNED|UNABLE_|INVALID_PURPOSE|ERR_TLS_CERT)/.test(code)
    ? `its certificate is not valid (${code})`
    : /^(ERR_SSL|EPROTO)/.test(code)
      ? 'what answers there does not speak TLS 1.3, so it is no gateway of mini-k8s'
      : `the TLS handshake failed: ${errorMessage(error)}`;
  return new GatewayError('not-a-gateway', { what, why, fix: checkAddress(attempt), cause: error });
}

/** For a server that is not what was expected. */
export function checkAddress({ server }: GatewayAttempt): string {
  return `check that ${server} leads to the gateway of a controller (TCP port ${defaultGatewayPort} unless configured), with nothing in between that opens TLS`;
}

function exchange(
  tls: TLSSocket,
  { method, path, authorization, body }: GatewayRequest,
  limit: AbortSignal,
): Promise<GatewayAnswer> {
  return new Promise((resolve, reject) => {
    const call = sendRequest({
      createConnection: () => tls,
      method,
      path,
      signal: limit,
      headers: {
        host: gatewayServerName,
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    });
    call.on('error', (error) => reject(limit.aborted ? limit.reason : error));
    call.on('response', (response) => {
      readText(response).then(
        (text) => resolve({ status: response.statusCode ?? 0, date: response.headers.date, text }),
        (error: unknown) => reject(limit.aborted ? limit.reason : error),
      );
    });
    call.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxAnswerBytes) throw new Error(`it is longer than ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes).toString('utf8');
}
