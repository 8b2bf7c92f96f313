import { maxHeaderBytes } from './connect-request.ts';

/** What the bytes of an agent's answer so far mean. */
export type ConnectAnswer =
  | { readonly type: 'incomplete' }
  | {
      readonly type: 'answer';
      readonly status: number;
      readonly reason: string;
      /** Bytes of the header; what follows comes from the target. */
      readonly headerBytes: number;
    }
  | { readonly type: 'invalid'; readonly reason: string };

const headerEnd = Buffer.from('\r\n\r\n');
const version = Buffer.from('HTTP/1.');

/**
 * Reads the answer to a CONNECT request. Only 200 and errors (400 to 599) are answers: there is nothing that this side
 * could do with another one.
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-connect
 */
export function parseConnectAnswer(received: Buffer): ConnectAnswer {
  const seen = Math.min(received.length, version.length);
  if (received.compare(version, 0, seen, 0, seen) !== 0) {
    return { type: 'invalid', reason: 'it answered with something that is not HTTP' };
  }
  const end = received.indexOf(headerEnd);
  const headerBytes = end === -1 ? received.length : end + headerEnd.length;
  if (headerBytes > maxHeaderBytes) {
    return { type: 'invalid', reason: `its answer is longer than ${maxHeaderBytes} bytes` };
  }
  if (end === -1) return { type: 'incomplete' };
  const statusLine = received.toString('latin1', 0, received.indexOf('\r\n'));
  const match = /^HTTP\/1\.[01] (200|[45]\d\d)(?: (.*))?$/.exec(statusLine);
  if (match === null)
    return { type: 'invalid', reason: 'it answered with a malformed status line' };
  return { type: 'answer', status: Number(match[1]), reason: match[2] ?? '', headerBytes };
}
