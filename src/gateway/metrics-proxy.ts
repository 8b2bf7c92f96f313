import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Peer } from '../base/http-route.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { parseAuthority } from '../tunnel/connect-request.ts';
import { sendRefusal } from '../tunnel/send-answer.ts';
import type { ByteStream, Refusal, Target } from '../tunnel/types.ts';
import { createComplaints } from './complaints.ts';

export interface MetricsProxyOptions {
  readonly user: string;
  readonly password: string;
  /** The only port that it leads to. */
  readonly kubeletPort: number;
  /** Answers, and relays: the tunnel server's. A name that is no node's is refused there, with the reason. */
  readonly serve: (client: ByteStream, target: Target) => void;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface MetricsProxy {
  /** For the `connect` event of an HTTP server. */
  handleConnect(request: IncomingMessage, client: ByteStream, head: Buffer, peer: Peer): void;
}

/**
 * An HTTP proxy to kubelets, by node name only: what metrics-server scrapes through, since it knows no egress selector
 * but honours `HTTPS_PROXY`. The connection to the kubelet is TLS from end to end.
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-connect
 */
export function createMetricsProxy(options: MetricsProxyOptions): MetricsProxy {
  const expected = digest(`${options.user}:${options.password}`);
  const complaints = createComplaints(options.logger, options.clock);
  const complain = (reason: string) =>
    complaints.warn(`proxy for metrics refused a request: ${reason}`);
  return {
    handleConnect: (request, client, head, peer) => {
      // Errors are followed by `close`.
      client.on('error', () => {});
      if (!isAuthorized(request.headers['proxy-authorization'], expected)) {
        complain(`credentials of ${peer.remoteAddress} are missing or wrong`);
        askForCredentials(client);
        return;
      }
      const decision = decide(request.url ?? '', options.kubeletPort);
      if ('reason' in decision) {
        complain(decision.reason);
        sendRefusal(client, decision);
        return;
      }
      if (head.length > 0) client.unshift(head);
      options.serve(client, decision);
    },
  };
}

/** Compares digests, so that the time tells neither what is right of a guess nor how long the right one is. */
function isAuthorized(header: string | undefined, expected: Buffer): boolean {
  const credentials = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1];
  if (credentials === undefined) return false;
  return timingSafeEqual(digest(Buffer.from(credentials, 'base64')), expected);
}

function digest(credentials: string | Buffer): Buffer {
  return createHash('sha256').update(credentials).digest();
}

function decide(authority: string, kubeletPort: number): Target | Refusal {
  const target = parseAuthority(authority);
  if (target === undefined) return { status: 400, reason: 'malformed CONNECT request line' };
  const { host, port } = target;
  if (isIP(host) !== 0) {
    return { status: 403, reason: `${host} is an address: kubelets are reached by node name only` };
  }
  if (port !== kubeletPort) {
    const reason = `port ${port} of ${host} is not the kubelet's (${kubeletPort})`;
    return { status: 403, reason };
  }
  return target;
}

function askForCredentials(client: ByteStream): void {
  client.write(
    'HTTP/1.1 407 Proxy Authentication Required\r\n' +
      'Proxy-Authenticate: Basic realm="mini-k8s"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
  );
  client.destroySoon();
}
