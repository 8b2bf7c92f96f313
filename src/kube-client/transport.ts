import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { type AgentSource, type Credentials, createAgentSource } from './credentials.ts';
import { KubeConnectionError, kubeApiErrorFrom } from './errors.ts';

export interface TransportOptions extends Credentials {
  /** `https://host:port`. */
  readonly server: string;
  /** For a whole request and its answer, milliseconds; watches are not bound by it. */
  readonly requestTimeoutMs: number;
  /** An answer that is longer ends in an error, bytes. */
  readonly maxResponseBytes: number;
}

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface Transport {
  /**
   * The body of a successful answer.
   * @throws KubeApiError when refused, KubeConnectionError without an answer, the signal's reason when aborted.
   */
  send(request: KubeRequest): Promise<string>;
  /** A successful answer whose body is still to come; `idleTimeoutMs` without a byte ends it in an error. Same errors. */
  open(request: KubeRequest, idleTimeoutMs: number): Promise<IncomingMessage>;
  close(): void;
}

/** Requests to one API server over one pool of TLS connections. */
export function createTransport(options: TransportOptions): Transport {
  const agents = createAgentSource(options);
  const { server, requestTimeoutMs, maxResponseBytes } = options;
  const connection: Connection = { options, agents, idleTimeoutMs: 0 };
  return {
    async send(kubeRequest) {
      const { signal } = kubeRequest;
      // Not AbortSignal.any: a signal that lives as long as the process must not collect what waits for it.
      const bounded = new AbortController();
      const forward = () => bounded.abort();
      const timer = setTimeout(forward, requestTimeoutMs);
      signal?.addEventListener('abort', forward);
      try {
        signal?.throwIfAborted();
        const request = { ...kubeRequest, signal: bounded.signal };
        return await readBody(await openWithRetry(connection, request), maxResponseBytes);
      } catch (error) {
        signal?.throwIfAborted();
        const isTimeout = bounded.signal.aborted;
        throw connectionError(server, isTimeout ? timeoutError(requestTimeoutMs) : error);
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', forward);
      }
    },
    async open(kubeRequest, idleTimeoutMs) {
      try {
        return await openWithRetry({ ...connection, idleTimeoutMs }, kubeRequest);
      } catch (error) {
        kubeRequest.signal?.throwIfAborted();
        throw connectionError(server, error);
      }
    },
    close: () => agents.close(),
  };
}

/** Whatever Node threw for lack of an answer becomes a KubeConnectionError; the rest stays what it is. */
export function connectionError(server: string, error: unknown): unknown {
  const isNodeError = error instanceof Error && 'code' in error && typeof error.code === 'string';
  return isNodeError && !(error instanceof KubeConnectionError)
    ? new KubeConnectionError(server, error)
    : error;
}

interface Connection {
  readonly options: TransportOptions;
  readonly agents: AgentSource;
  /** Silence within an answer that ends it, milliseconds; 0: the request's own time-out does. */
  readonly idleTimeoutMs: number;
}

/**
 * A kept connection may be closed by the server in the moment it is used again, and a certificate may have been
 * renewed since it was read: in both cases, and only then, the request is sent a second time.
 */
async function openWithRetry(
  connection: Connection,
  kubeRequest: KubeRequest,
): Promise<IncomingMessage> {
  let response: IncomingMessage;
  try {
    response = await openOnce(connection, kubeRequest);
  } catch (error) {
    kubeRequest.signal?.throwIfAborted();
    if (!(await mayRetry(connection, kubeRequest, error))) throw error;
    response = await openOnce(connection, kubeRequest);
  }
  if (response.statusCode === 401 && (await connection.agents.refresh())) {
    response.resume();
    response = await openOnce(connection, kubeRequest);
  }
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return response;
  throw kubeApiErrorFrom(status, await readBody(response, connection.options.maxResponseBytes));
}

async function mayRetry(
  connection: Connection,
  kubeRequest: KubeRequest,
  error: unknown,
): Promise<boolean> {
  if (error instanceof StaleConnectionError) return kubeRequest.method !== 'POST';
  return isTlsError(error) && (await connection.agents.refresh());
}

class StaleConnectionError extends Error {
  readonly code = 'ECONNRESET';
}

function isTlsError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO)/.test(
    String(error.code),
  );
}

async function openOnce(
  { options, agents, idleTimeoutMs }: Connection,
  kubeRequest: KubeRequest,
): Promise<IncomingMessage> {
  const agent = await agents.current();
  const { method, signal, body } = kubeRequest;
  const headers = headersOf(options, kubeRequest);
  return await new Promise<IncomingMessage>((resolve, reject) => {
    const call: ClientRequest = request(new URL(kubeRequest.path, options.server), {
      method,
      agent,
      headers,
      ...(signal === undefined ? {} : { signal }),
    });
    call.setTimeout(options.requestTimeoutMs);
    let answer: IncomingMessage | undefined;
    call.on('timeout', () => {
      if (answer === undefined) call.destroy(timeoutError(options.requestTimeoutMs));
      else answer.destroy(timeoutError(idleTimeoutMs));
    });
    call.on('response', (response) => {
      answer = response;
      call.setTimeout(idleTimeoutMs);
      resolve(response);
    });
    call.on('error', (error: Error & { code?: string }) => {
      const stale = call.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(stale ? new StaleConnectionError(error.message, { cause: error }) : error);
    });
    call.end(body);
  });
}

function headersOf(options: TransportOptions, kubeRequest: KubeRequest): Record<string, string> {
  const { body, contentType, accept } = kubeRequest;
  return {
    accept: accept ?? 'application/json',
    'user-agent': 'mini-k8s',
    ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    ...(body === undefined
      ? {}
      : {
          'content-type': contentType ?? 'application/json',
          'content-length': String(Buffer.byteLength(body)),
        }),
  };
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) {
      const error = new Error(`its answer is longer than ${maxBytes} bytes`);
      throw Object.assign(error, { code: 'EMSGSIZE' });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes).toString('utf8');
}

function timeoutError(timeoutMs: number): Error {
  const error = new Error(`nothing came within ${timeoutMs / 1000} s`);
  return Object.assign(error, { code: 'ETIMEDOUT' });
}
