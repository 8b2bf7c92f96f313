import { connect, isIP, type LookupFunction, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { machineAuthorities } from './authorities.ts';
import { DialError } from './dial-error.ts';
import { openProxyTunnel } from './dial-proxy.ts';
import { errorCode, errorMessage } from './errors.ts';
import { type HostPort, renderHostPort } from './host-port.ts';
import { type HttpProxy, type ProxySettings, proxyFor, renderProxy } from './proxy-settings.ts';

export interface DialOptions extends HostPort {
  /** Straight when left out. */
  readonly proxy?: ProxySettings | undefined;
  /** For everything: name, TCP, and the proxy's answer, milliseconds. */
  readonly timeoutMs: number;
  /** The other side's FIN leaves our direction open. */
  readonly allowHalfOpen?: boolean;
  /** How a name becomes addresses; the machine's resolver when left out. Asked anew by each call. */
  readonly lookup?: LookupFunction;
}

/** Finds a peer that vanished without a word. */
const keepAliveAfterMs = 30_000;

/**
 * A connected socket, straight or through an HTTP proxy by CONNECT. Of several addresses of a name, IPv4 and IPv6 are
 * tried in turn, 250 ms apart. Nothing of the socket is read yet. It has a
 * listener for errors, so that a late one ends nothing but the socket.
 * @throws DialError whose message names what did not answer; the signal's reason when it aborts.
 */
export async function dialTcp(options: DialOptions, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const proxy = proxyFor(options.proxy, options);
  const socket = openSocket(options, proxy);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), options.timeoutMs);
  const forward = () => limit.abort();
  signal.addEventListener('abort', forward);
  // Stays for the life of the socket: whoever uses it hears of the end by `close`.
  socket.on('error', () => {});
  try {
    await connected(
      socket,
      proxy?.protocol === 'https' ? 'secureConnect' : 'connect',
      limit.signal,
    );
    if (proxy !== undefined) await openProxyTunnel(socket, proxy, options, limit.signal);
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw explain(error, { options, proxy, isTimeout: limit.signal.aborted });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', forward);
  }
}

function openSocket(options: DialOptions, proxy: HttpProxy | undefined): Socket {
  const { host, port } = proxy ?? options;
  const tcp: TcpNetConnectOpts = {
    host,
    port,
    allowHalfOpen: options.allowHalfOpen ?? false,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveAfterMs,
    autoSelectFamily: true,
    ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
  };
  if (proxy?.protocol !== 'https') return connect(tcp);
  return connectTls({
    ...tcp,
    ca: proxy.ca ?? machineAuthorities(),
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
}

function connected(socket: Socket, event: string, limit: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      socket.off(event, onConnect).off('error', onError).off('close', onClose);
      limit.removeEventListener('abort', onAbort);
      settle();
    };
    const onConnect = () => finish(resolve);
    const onError = (error: Error) => finish(() => reject(error));
    const onClose = () => onError(new Error('it closed the connection'));
    const onAbort = () => finish(() => reject(limit.reason));
    socket.on(event, onConnect).on('error', onError).on('close', onClose);
    limit.addEventListener('abort', onAbort);
    if (limit.aborted) onAbort();
  });
}

interface FailedDial {
  readonly options: DialOptions;
  readonly proxy: HttpProxy | undefined;
  readonly isTimeout: boolean;
}

/** In words that name who did not answer. */
function explain(error: unknown, { options, proxy, isTimeout }: FailedDial): Error {
  if (error instanceof DialError) return error;
  const { host } = proxy ?? options;
  const isOfProxy = proxy !== undefined;
  const subject = proxy === undefined ? renderHostPort(options) : `proxy ${renderProxy(proxy)}`;
  if (isTimeout) {
    const message = `${subject} did not answer within ${options.timeoutMs / 1000} s`;
    return new DialError('ETIMEDOUT', message, { isOfProxy, cause: error });
  }
  const code = errorCode(error) ?? 'EIO';
  return new DialError(code, describeFailure({ code, subject, host, error }), {
    isOfProxy,
    cause: error,
  });
}

function describeFailure(failure: {
  readonly code: string;
  readonly subject: string;
  readonly host: string;
  readonly error: unknown;
}): string {
  const { code, subject, host, error } = failure;
  switch (code) {
    case 'ECONNREFUSED':
      return `${subject} refuses connections`;
    case 'ECONNRESET':
      return `${subject} reset the connection`;
    case 'ETIMEDOUT':
      return `${subject} did not answer`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `no route to ${subject} (${code})`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${host} cannot be resolved (${code})`;
    case 'EMFILE':
    case 'ENFILE':
      return `out of file descriptors while connecting to ${subject}`;
    default:
      return `cannot connect to ${subject}: ${errorMessage(error)}`;
  }
}
