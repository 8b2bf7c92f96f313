import { request } from 'node:http';
import type { LookupFunction, Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import { dialTcp } from '../base/dial.ts';
import { errorCode, errorMessage } from '../base/errors.ts';
import { type HostPort, renderHostPort } from '../base/host-port.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import type { CheckResult } from './server-health.ts';

export interface CheckOptions extends HostPort {
  /** With the cluster's CA and nothing else. */
  readonly secureContext: SecureContext;
  readonly proxy?: ProxySettings | undefined;
  readonly lookup?: LookupFunction;
  readonly dialTimeoutMs: number;
  readonly answerTimeoutMs: number;
}

/** A name that every kube-apiserver's certificate has, whatever address it is reached by. */
const serverName = 'kubernetes';

/**
 * Looks at a kube-apiserver over a connection of its own: TCP, TLS with the cluster's CA, GET /readyz without
 * credentials.
 * @throws nothing but the signal's reason.
 * @see https://kubernetes.io/docs/reference/using-api/health-checks/
 */
export async function checkReady(options: CheckOptions, signal: AbortSignal): Promise<CheckResult> {
  const startedAt = performance.now();
  let socket: Socket;
  try {
    socket = await dialTcp({ ...options, timeoutMs: options.dialTimeoutMs }, signal);
  } catch (error) {
    signal.throwIfAborted();
    const type = isOwnTrouble(error) ? 'none' : 'unreachable';
    return { type, message: errorMessage(error) };
  }
  const connectMs = performance.now() - startedAt;
  const abort = () => socket.destroy();
  signal.addEventListener('abort', abort);
  try {
    const outcome = await secure(socket, options);
    signal.throwIfAborted();
    if (outcome.type !== 'secure') return outcome;
    const complaint = await readyzComplaint(outcome.socket, options.answerTimeoutMs);
    signal.throwIfAborted();
    return complaint === undefined
      ? { type: 'ready', connectMs }
      : { type: 'not-ready', connectMs, message: complaint };
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

/** Whether an attempt failed for what this machine lacks, which says nothing about the server. */
export function isOwnTrouble(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'].includes(errorCode(error) ?? '');
}

type Handshake =
  | { readonly type: 'secure'; readonly socket: TLSSocket }
  | { readonly type: 'untrusted' | 'unreachable'; readonly message: string };

function secure(socket: Socket, options: CheckOptions): Promise<Handshake> {
  const { secureContext, answerTimeoutMs } = options;
  const name = renderHostPort(options);
  return new Promise((resolve) => {
    const tls = connectTls({ socket, secureContext, servername: serverName });
    const fail = (type: 'untrusted' | 'unreachable', message: string) => {
      clearTimeout(timer);
      tls.destroy();
      resolve({ type, message });
    };
    const timer = setTimeout(
      () => fail('unreachable', `${name} did not begin TLS within ${answerTimeoutMs / 1000} s`),
      answerTimeoutMs,
    );
    tls.on('error', (error) => {
      const isGone = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET)/.test(errorCode(error) ?? '');
      const why = `TLS with ${name} failed: ${errorMessage(error)}`;
      fail(isGone ? 'unreachable' : 'untrusted', why);
    });
    tls.once('close', () => fail('unreachable', `${name} closed the connection during TLS`));
    tls.once('secureConnect', () => {
      clearTimeout(timer);
      resolve({ type: 'secure', socket: tls });
    });
  });
}

/** Why the server is not ready; undefined when it is. A refusal of anonymous requests is a sign of life too. */
function readyzComplaint(socket: TLSSocket, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const call = request({
      path: '/readyz',
      headers: { host: serverName, connection: 'close', 'user-agent': 'mini-k8s' },
      createConnection: () => socket,
    });
    const finish = (complaint: string | undefined) => {
      clearTimeout(timer);
      resolve(complaint);
      call.destroy();
    };
    const timer = setTimeout(
      () => finish(`/readyz did not answer within ${timeoutMs / 1000} s`),
      timeoutMs,
    );
    call.on('error', (error) => finish(`/readyz failed: ${errorMessage(error)}`));
    call.on('response', ({ statusCode = 0 }) => {
      const isAlive = statusCode === 200 || statusCode === 401 || statusCode === 403;
      finish(isAlive ? undefined : `/readyz answered ${statusCode}`);
    });
    call.end();
  });
}
