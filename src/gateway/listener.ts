import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { errorCode, errorMessage } from '../base/errors.ts';
import { tunnelProtocol } from '../base/gateway-names.ts';
import type { Complaints } from './complaints.ts';
import type { Connections, GatewayLimits } from './connections.ts';
import { plainAddress } from './peer-identity.ts';
import type { Router } from './router.ts';
import type { TlsContext } from './tls-files.ts';

export interface ListenerOptions {
  readonly tls: TlsContext;
  readonly limits: GatewayLimits;
  readonly connections: Connections;
  readonly router: Router;
  readonly complaints: Complaints;
}

/** How often Node.js looks for requests that are late, milliseconds. */
const timeoutCheckMs = 2_000;
const maxHeaderBytes = 16 * 1024;
const maxHeaders = 100;
const keepAliveAfterMs = 30_000;

/**
 * An HTTPS server that is asked before it spends anything on a connection, and after the handshake whether the
 * connection is its own. Clients without a certificate come in: the routes look at who they are.
 */
export function createListener(options: ListenerOptions): Server {
  const { tls, limits, connections, router, complaints } = options;
  const server = createServer({
    ...tls,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: [tunnelProtocol, 'http/1.1'],
    handshakeTimeout: limits.handshakeTimeoutMs,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: timeoutCheckMs,
    maxHeaderSize: maxHeaderBytes,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveAfterMs,
  });
  server.maxHeadersCount = maxHeaders;
  server.timeout = limits.stallTimeoutMs;
  stepBetween<Socket>(server, 'connection', (socket, startTls) => {
    connections.admit(socket, startTls);
  });
  stepBetween<TLSSocket>(server, 'secureConnection', (socket, serveHttp) => {
    socket.on('error', () => {});
    if (!connections.secured(socket)) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol === tunnelProtocol) router.acceptTunnel(socket);
    else if (router.acceptHttp(socket)) serveHttp();
  });
  server.on('tlsClientError', (error, socket) => {
    connections.countFailedHandshake();
    const reason = errorCode(error) ?? errorMessage(error);
    complaints.note(
      `gateway: the TLS handshake of ${plainAddress(socket.remoteAddress)} failed: ${reason}`,
    );
    socket.destroy();
  });
  server.on('request', router.handle);
  server.on('connect', router.handleConnect);
  return server;
}

/** Puts a decision before what Node.js itself does with a socket of an event. */
function stepBetween<S>(
  server: Server,
  event: 'connection' | 'secureConnection',
  decide: (socket: S, goOn: () => void) => void,
): void {
  const listeners = server.listeners(event);
  server.removeAllListeners(event);
  server.on(event, (socket: unknown) => {
    decide(socket as S, () => {
      for (const listener of listeners) listener.call(server, socket);
    });
  });
}
