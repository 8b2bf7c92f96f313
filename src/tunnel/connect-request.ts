import { isIPv6 } from 'node:net';
import type { Target } from './types.ts';

/** Longest request header that is read, bytes. kube-apiserver sends about 60. */
export const maxHeaderBytes = 16 * 1024;

/** What the bytes received so far mean. */
export type ConnectRequest =
  | { readonly type: 'incomplete' }
  | {
      readonly type: 'request';
      readonly target: Target;
      /** Bytes of the header; what follows is for the target. */
      readonly headerBytes: number;
    }
  | { readonly type: 'invalid'; readonly status: 400 | 405 | 431; readonly reason: string };

const headerEnd = Buffer.from('\r\n\r\n');
const method = Buffer.from('CONNECT ');
const maxHostLength = 253;

/**
 * Reads an HTTP CONNECT request from the bytes received so far. The target is the request line's, never the Host
 * header's: kube-apiserver sends `Host: 127.0.0.1` whatever it dials.
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-connect
 */
export function parseConnectRequest(received: Buffer): ConnectRequest {
  const seen = Math.min(received.length, method.length);
  if (received.compare(method, 0, seen, 0, seen) !== 0) return wrongMethod(received);
  const end = received.indexOf(headerEnd);
  const headerBytes = end === -1 ? received.length : end + headerEnd.length;
  if (headerBytes > maxHeaderBytes) {
    return invalid(431, `the CONNECT header is longer than ${maxHeaderBytes} bytes`);
  }
  if (end === -1) return { type: 'incomplete' };
  const requestLine = received.toString('latin1', 0, received.indexOf('\r\n'));
  const authority = /^CONNECT (\S+) HTTP\/1\.[01]$/.exec(requestLine)?.[1];
  if (authority === undefined) return invalid(400, 'malformed CONNECT request line');
  const target = parseAuthority(authority);
  if (target === undefined) return invalid(400, 'the CONNECT target is not <host>:<port>');
  return { type: 'request', target, headerBytes };
}

/** `node-a:10250`, `10.244.0.5:8080`, `[fd00::1]:10250`; undefined for anything else. */
export function parseAuthority(authority: string): Target | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([1-9]\d{0,4})$/.exec(authority);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const host = (bracketed ?? plain ?? '').toLowerCase();
  const port = Number(digits);
  if (port > 65535 || host.length > maxHostLength) return undefined;
  if (bracketed !== undefined && !isIPv6(host)) return undefined;
  return { host, port };
}

/** `host:port` again, IPv6 in brackets. */
export function renderTarget(target: Target): string {
  return target.host.includes(':')
    ? `[${target.host}]:${target.port}`
    : `${target.host}:${target.port}`;
}

function wrongMethod(received: Buffer): ConnectRequest {
  const other = /^([A-Z]{3,10}) \//.exec(received.toString('latin1', 0, 16))?.[1];
  if (other === undefined) return invalid(400, 'this is not an HTTP CONNECT request');
  return invalid(405, `only CONNECT is served here, not ${other}`);
}

function invalid(status: 400 | 405 | 431, reason: string): ConnectRequest {
  return { type: 'invalid', status, reason };
}
