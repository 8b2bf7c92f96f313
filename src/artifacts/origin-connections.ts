import { isIP, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { machineAuthorities } from '../base/authorities.ts';
import type { HostPort } from '../base/host-port.ts';
import {
  createHttpConnection,
  type GetOptions,
  type HttpConnection,
  type HttpResponse,
} from './http-connection.ts';
import { openTls } from './open-tls.ts';
import { WrongContentError } from './server-answer.ts';
import { expectFirstAnswer, requireFirstByte } from './silent-server.ts';

export interface OriginsOptions {
  /** A connected socket, straight or through a proxy: `dialTcp`. */
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<Socket>;
  /** PEM of CAs that are trusted besides the machine's own. */
  readonly authorities?: string | undefined;
  /** Sent to that origin (`https://mirror.example`), and to no other. */
  readonly credentials?: { readonly origin: string; readonly authorization: string } | undefined;
  /** To one origin at the same time. */
  readonly maxSockets: number;
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /**
   * A server of which nothing was heard yet has so long for the first byte of a connection, and only one time-out of
   * whatever kind: then it counts as dead, and is not asked again. Left out: it is waited for as often as it is asked.
   */
  readonly firstByteMs?: number | undefined;
  /** Told of each chunk after it was handed over. */
  readonly onReceived: (bytes: number) => void;
}

/** Upstreams lead to a host with the contents, seldom by more than one step. */
const maxRedirects = 5;

/**
 * HTTP and HTTPS with whatever hosts addresses lead to: `get` takes a whole address and follows redirects. The
 * certificates of all are verified; from HTTPS it does not go back to HTTP.
 */
export function connectOrigins(options: OriginsOptions): HttpConnection {
  const connections = new Map<string, HttpConnection>();
  const trust = lazily(() => {
    const extra = options.authorities === undefined ? [] : [options.authorities];
    return createSecureContext({ ca: [...machineAuthorities(), ...extra] });
  });
  const connect = (url: URL): HttpConnection => {
    const known = connections.get(url.origin);
    if (known !== undefined) return known;
    const answer = expectFirstAnswer(options.firstByteMs);
    const server = createHttpConnection({
      host: url.host,
      headers: {
        'User-Agent': 'mini-k8s',
        'Accept-Encoding': 'identity',
        ...(options.credentials?.origin === url.origin
          ? { Authorization: options.credentials.authorization }
          : {}),
      },
      openSocket: (signal) =>
        openSocket(url, { ...options, trust, signal, firstByteMs: answer.firstByteMs() }),
      maxSockets: options.maxSockets,
      stallMs: options.stallMs,
      onReceived: options.onReceived,
    });
    const connection: HttpConnection = {
      get: (path, request) => answer.wait(() => server.get(path, request)),
      close: () => server.close(),
    };
    connections.set(url.origin, connection);
    return connection;
  };
  return {
    get: (address, request) => getFollowing(new URL(address), request, connect),
    close: () => {
      for (const connection of connections.values()) connection.close();
    },
  };
}

async function getFollowing(
  start: URL,
  request: GetOptions,
  connect: (url: URL) => HttpConnection,
): Promise<HttpResponse> {
  let url = start;
  for (let redirects = 0; ; redirects += 1) {
    // What a server is told in confidence is not for the one that it leads to.
    const { Authorization: _, ...headers } = request.headers;
    const isSame = url.origin === start.origin;
    const response = await connect(url).get(`${url.pathname}${url.search}`, {
      ...request,
      headers: isSame ? request.headers : headers,
    });
    const location = [301, 302, 303, 307, 308].includes(response.status)
      ? response.header('location')
      : undefined;
    if (location === undefined) return response;
    response.discard();
    if (redirects === maxRedirects) {
      throw new WrongContentError(`it redirects more than ${maxRedirects} times`);
    }
    url = redirected(url, location);
  }
}

/** Without the query in messages: it may hold a signature. */
function redirected(from: URL, location: string): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url === undefined) throw new WrongContentError('it redirects to what is no address');
  const isSafe =
    url.protocol === 'https:' || (url.protocol === 'http:' && from.protocol !== 'https:');
  if (isSafe) return url;
  throw new WrongContentError(
    `it redirects to ${url.origin}${url.pathname}, which is not protected by TLS`,
  );
}

interface SocketContext extends OriginsOptions {
  readonly trust: () => SecureContext;
  readonly signal: AbortSignal;
}

async function openSocket(url: URL, context: SocketContext): Promise<Socket> {
  const limit = AbortSignal.any([context.signal, AbortSignal.timeout(context.stallMs)]);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isSecure = url.protocol === 'https:';
  const port = url.port === '' ? (isSecure ? 443 : 80) : Number(url.port);
  const socket = await context.dial({ host, port }, limit);
  if (context.firstByteMs !== undefined) requireFirstByte(socket, context.firstByteMs);
  if (!isSecure) return socket;
  const name = isIP(host) === 0 ? { servername: host } : {};
  return await openTls(socket, { host, ...name, secureContext: context.trust() }, limit);
}

/** Reading some hundred certificates takes 30 ms, and a mirror without TLS needs none. */
function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
