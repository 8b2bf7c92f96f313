import { Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import type { Socket } from 'node:net';
import { errorMessage } from '../base/errors.ts';
import { createStallGuard, StalledError, type StallGuard } from './stall-guard.ts';

export interface HttpConnectionOptions {
  /** The `Host` of each request. */
  readonly host: string;
  /** Of each request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Connections at the same time; further requests wait for one. */
  readonly maxSockets: number;
  readonly openSocket: (signal: AbortSignal) => Promise<Socket>;
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /** Told of each chunk after it was handed over. */
  readonly onReceived: (bytes: number) => void;
}

/** HTTP with one server. */
export interface HttpConnection {
  get(path: string, options: GetOptions): Promise<HttpResponse>;
  close(): void;
}

export interface GetOptions {
  /** `GET` when left out. */
  readonly method?: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
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

/** Connections are opened as they are needed, and kept for the next request. */
export function createHttpConnection(options: HttpConnectionOptions): HttpConnection {
  const closing = new AbortController();
  const agent = new Agent({ keepAlive: true, maxSockets: options.maxSockets });
  agent.createConnection = (_, callback) => {
    const done = callback ?? (() => {});
    options.openSocket(closing.signal).then(
      (socket) => done(null, socket),
      (error: unknown) => done(asError(error), undefined as never),
    );
    return undefined;
  };
  return {
    get: (path, request) => get({ ...options, agent, path, request }),
    close: () => {
      closing.abort();
      agent.destroy();
    },
  };
}

interface GetContext extends HttpConnectionOptions {
  readonly agent: Agent;
  readonly path: string;
  readonly request: GetOptions;
}

async function get(context: GetContext): Promise<HttpResponse> {
  try {
    return await tryGet(context);
  } catch (error) {
    if (!(error instanceof ReusedSocketError)) throw error;
    // The server closed the idle connection while the request was on its way.
    return await tryGet(context);
  }
}

class ReusedSocketError extends Error {}

async function tryGet(context: GetContext): Promise<HttpResponse> {
  const { agent, path, host, stallMs } = context;
  const { method = 'GET', signal } = context.request;
  const guard = createStallGuard(signal, stallMs);
  const request = sendRequest({
    ...{ agent, method, path },
    headers: { Host: host, ...context.request.headers, ...context.headers },
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
    if (guard.isStalled()) throw new StalledError(guard.describe(), { cause: error });
    throw request.reusedSocket ? new ReusedSocketError(errorMessage(error)) : error;
  }
}

type Sink = (chunk: Buffer) => Promise<void> | undefined;

function sinkAndTell(sink: Sink, { onReceived }: HttpConnectionOptions): Sink {
  return (chunk) => {
    const pending = sink(chunk);
    onReceived(chunk.length);
    return pending;
  };
}

function receive(response: IncomingMessage, guard: StallGuard, sink: Sink): Promise<void> {
  return new Promise((resolve, reject) => {
    let pending: Promise<void> | undefined;
    let isOver = false;
    const fail = (error: unknown) => {
      isOver = true;
      guard.end();
      response.destroy();
      reject(guard.isStalled() ? new StalledError(guard.describe(), { cause: error }) : error);
    };
    const take = (chunk: Buffer) => {
      guard.touch();
      pending = sink(chunk);
      if (pending === undefined) return;
      guard.suspend();
      response.pause();
      pending.then(() => {
        guard.touch();
        // Nothing flows any more: a stream that ended too early drops what it would hand over.
        if (!response.destroyed) response.resume();
      }, fail);
    };
    response.on('data', (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        fail(error);
      }
    });
    const onCut = (error: unknown) => {
      if (isOver) return;
      isOver = true;
      response.removeAllListeners('data');
      void takeRest(response, sink, pending).then(() => fail(error), fail);
    };
    response
      .on('error', onCut)
      .once('end', () => {
        isOver = true;
        guard.end();
        resolve();
      })
      .once('close', () => onCut(cutError()));
    // An error that nobody listened to yet is gone, and nothing would come any more.
    if (response.destroyed) onCut(cutError());
  });
}

/** What had come when the connection was cut, and waited for the sink: it need not be asked for again. */
async function takeRest(
  response: IncomingMessage,
  sink: Sink,
  pending: Promise<void> | undefined,
): Promise<void> {
  await pending;
  for (;;) {
    const chunk = response.read() as Buffer | null;
    if (chunk === null) return;
    await sink(chunk);
  }
}

function cutError(): Error {
  return new Error('the connection was cut');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
