import type { Socket } from 'node:net';
import { DialError } from './dial-error.ts';
import { type HostPort, renderHostPort } from './host-port.ts';
import { type HttpProxy, renderProxy } from './proxy-settings.ts';

/** An answer to CONNECT with a longer header is none. */
const maxHeaderBytes = 16 * 1024;

/**
 * Asks a proxy, over a connection to it, for the way to `target`. Afterwards the socket is the target's: bytes that
 * came with the proxy's answer are put back.
 * @throws DialError when the proxy refuses; the signal's reason when it aborts.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
 */
export async function openProxyTunnel(
  socket: Socket,
  proxy: HttpProxy,
  target: HostPort,
  signal: AbortSignal,
): Promise<void> {
  socket.write(renderConnect(proxy, target));
  const reply = await readReply(socket, signal);
  if (reply.type === 'reply' && reply.status >= 200 && reply.status < 300) return;
  throw new DialError('EPROXY', describeRefusal(reply, proxy, target), { isOfProxy: true });
}

function renderConnect(proxy: HttpProxy, target: HostPort): string {
  const authority = renderHostPort(target);
  const credentials =
    proxy.authorization === undefined ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`;
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: mini-k8s\r\n${credentials}\r\n`;
}

type ConnectReply =
  | { readonly type: 'incomplete' | 'invalid' | 'closed' }
  | {
      readonly type: 'reply';
      readonly status: number;
      /** Printable, at most 200 characters. */
      readonly reason: string;
      readonly headerBytes: number;
    };

/** Reads a status line and the end of its header; the rest of the header does not matter. Pure. */
export function parseConnectReply(received: Buffer): ConnectReply {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return { type: received.length > maxHeaderBytes ? 'invalid' : 'incomplete' };
  const line = received.subarray(0, received.indexOf('\r\n')).toString('latin1');
  const match = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(line);
  if (match === null) return { type: 'invalid' };
  const reason = (match[2] ?? '').replaceAll(/[^\x20-\x7e]/g, '?').trim();
  return {
    type: 'reply',
    status: Number(match[1]),
    reason: reason.slice(0, 200),
    headerBytes: end + 4,
  };
}

/** By `readable` events and not by `data`: so the socket is left as if nobody had read from it yet. */
function readReply(socket: Socket, signal: AbortSignal): Promise<ConnectReply> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const finish = (settle: () => void) => {
      socket.off('readable', onReadable).off('end', onClosed).off('close', onClosed);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const onClosed = () => finish(() => resolve({ type: 'closed' }));
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      received = Buffer.concat([received, chunk]);
      const reply = parseConnectReply(received);
      if (reply.type === 'incomplete') return;
      finish(() => resolve(reply));
      const rest = reply.type === 'reply' ? received.subarray(reply.headerBytes) : received;
      if (rest.length > 0) socket.unshift(rest);
    };
    socket.on('readable', onReadable).on('end', onClosed).on('close', onClosed);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else if (socket.destroyed) onClosed();
  });
}

function describeRefusal(reply: ConnectReply, proxy: HttpProxy, target: HostPort): string {
  const name = `proxy ${renderProxy(proxy)}`;
  if (reply.type === 'closed') {
    return `${name} closed the connection instead of connecting to ${renderHostPort(target)}`;
  }
  if (reply.type !== 'reply') return `${name} does not answer as an HTTP proxy`;
  const refusal = `${name} refuses to connect to ${renderHostPort(target)}: ${`${reply.status} ${reply.reason}`.trim()}`;
  if (reply.status !== 407) return refusal;
  const isKnown = proxy.authorization !== undefined;
  return `${refusal} (${isKnown ? 'it does not accept the user and password of' : 'there are no user and password in'} HTTPS_PROXY)`;
}
