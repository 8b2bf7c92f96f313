import { readFile } from 'node:fs/promises';
import { Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { HostPort } from '../base/host-port.ts';
import { createStallGuard, type StallGuard } from './controller-source-stall.ts';

/** How a worker shows that it may read: before its TLS bootstrap by token, afterwards by certificate. */
export type ControllerCredentials =
  /** `id.secret` of a join token. Never in an error or an event. */
  | { readonly kind: 'token'; readonly token: string }
  /** Read again for each connection, since kubelet renews them. */
  | { readonly kind: 'certificate'; readonly certFile: string; readonly keyFile: string };

export interface ControllerConnectionOptions {
  readonly address: HostPort;
  /** PEM of the cluster's CA. */
  readonly ca: string;
  readonly credentials: ControllerCredentials;
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<Socket>;
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /** Told of each chunk after it was handed over. */
  readonly onReceived: (bytes: number) => void;
}

/** HTTP with one controller, over one connection at a time. */
export interface ControllerConnection {
  get(path: string, options: GetOptions): Promise<ControllerResponse>;
  close(): void;
}

export interface GetOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface ControllerResponse {
  readonly status: number;
  header(name: string): string | undefined;
  /**
   * Hands each chunk of the body over, at once: one that is copied then and there dies young, and hundreds of megabytes
   * leave no garbage. Nothing more comes while a promise of the sink is pending.
   * @throws Error when the connection is cut or nothing comes for too long; what the sink throws.
   */
  receive(sink: (chunk: Buffer) => Promise<void> | undefined): Promise<void>;
  /** Must be called when the body is not received. */
  discard(): void;
}

/** The server is not one of this cluster: no other try would help. */
export class UntrustedServerError extends Error {
  override readonly name = 'UntrustedServerError';
}

/**
 * The name in every gateway's certificate, whatever address it is reached by: workers behind NAT, port forwardings and
 * names of the operator need no SAN of their own.
 */
const gatewayName = 'gateway.mini-k8s.internal';

export function connectController(options: ControllerConnectionOptions): ControllerConnection {
  const closing = new AbortController();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = (_, callback) => {
    const done = callback ?? (() => {});
    openTls(options, closing.signal).then(
      (socket) => done(null, socket),
      (error: unknown) => done(asError(error), undefined as never),
    );
    return undefined;
  };
  return {
    get: (path, request) => get({ agent, path, ...options, ...request }),
    close: () => {
      closing.abort();
      agent.destroy();
    },
  };
}

interface GetContext extends ControllerConnectionOptions, GetOptions {
  readonly agent: Agent;
  readonly path: string;
}

async function get(context: GetContext): Promise<ControllerResponse> {
  try {
    return await tryGet(context);
  } catch (error) {
    if (!(error instanceof ReusedSocketError)) throw error;
    // The server closed the idle connection while the request was on its way.
    return await tryGet(context);
  }
}

class ReusedSocketError extends Error {}

async function tryGet(context: GetContext): Promise<ControllerResponse> {
  const { agent, path, headers, signal, stallMs, credentials } = context;
  const guard = createStallGuard(signal, stallMs);
  const authorization =
    credentials.kind === 'token' ? { Authorization: `Bearer ${credentials.token}` } : {};
  const request = sendRequest({
    agent,
    path,
    host: gatewayName,
    headers: { ...headers, ...authorization },
    signal: guard.signal,
  });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject);
      request.end();
    });
    guard.touch();
    return {
      status: response.statusCode ?? 0,
      header: (name) => response.headers[name]?.toString(),
      receive: (sink) => receive(response, guard, sinkAndTell(sink, context)),
      discard: () => {
        guard.end();
        request.destroy();
      },
    };
  } catch (error) {
    guard.end();
    signal.throwIfAborted();
    if (guard.isStalled()) throw new Error(guard.describe(), { cause: error });
    throw request.reusedSocket ? new ReusedSocketError(errorMessage(error)) : error;
  }
}

type Sink = (chunk: Buffer) => Promise<void> | undefined;

function sinkAndTell(sink: Sink, { onReceived }: ControllerConnectionOptions): Sink {
  return (chunk) => {
    const pending = sink(chunk);
    onReceived(chunk.length);
    return pending;
  };
}

function receive(response: IncomingMessage, guard: StallGuard, sink: Sink): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      guard.end();
      response.destroy();
      reject(guard.isStalled() ? new Error(guard.describe(), { cause: error }) : error);
    };
    const take = (chunk: Buffer) => {
      guard.touch();
      const pending = sink(chunk);
      if (pending === undefined) return;
      guard.suspend();
      response.pause();
      pending.then(() => {
        guard.touch();
        response.resume();
      }, fail);
    };
    response.on('data', (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        fail(error);
      }
    });
    response.on('error', fail).once('end', () => {
      guard.end();
      resolve();
    });
  });
}

async function openTls(
  options: ControllerConnectionOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { credentials, ca } = options;
  const identity = credentials.kind === 'certificate' ? await readIdentity(credentials) : {};
  const limit = AbortSignal.any([signal, AbortSignal.timeout(options.stallMs)]);
  const socket = await options.dial(options.address, limit);
  const tls = connect({
    socket,
    servername: gatewayName,
    ca,
    ...identity,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['http/1.1'],
  });
  return await new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.destroy();
      reject(
        isTrustError(error) ? new UntrustedServerError(error.message, { cause: error }) : error,
      );
    };
    const onClose = () => fail(new Error('it closed the connection during the TLS handshake'));
    const onLimit = () => fail(new Error('the TLS handshake took too long'));
    limit.addEventListener('abort', onLimit, { once: true });
    // Stays, so that a late error ends nothing but the socket.
    tls.on('error', fail).once('close', onClose);
    tls.once('secureConnect', () => {
      limit.removeEventListener('abort', onLimit);
      tls.off('close', onClose);
      resolve(tls);
    });
  });
}

async function readIdentity(
  files: ControllerCredentials & { readonly kind: 'certificate' },
): Promise<{ readonly cert: Buffer; readonly key: Buffer }> {
  try {
    return { cert: await readFile(files.certFile), key: await readFile(files.keyFile) };
  } catch (error) {
    throw new UserError({
      what: 'read the certificate of this node',
      why: errorMessage(error),
      fix: 'join again with a new token',
      cause: error,
    });
  }
}

/** @see https://docs.openssl.org/3.5/man3/X509_STORE_CTX_get_error/ for the names without their X509_V_ERR_ */
function isTrustError(error: Error): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_|HOSTNAME/.test(errorCode(error) ?? '');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
