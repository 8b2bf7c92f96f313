import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { errorMessage } from '../base/errors.ts';
import type { HttpRoute, Peer } from '../base/http-route.ts';
import type { Complaints } from './complaints.ts';
import type { Connections } from './connections.ts';
import type { GatewayOptions } from './gateway.ts';
import { agentIdentity, identifyPeer } from './peer-identity.ts';

export interface RouterOptions
  extends Pick<GatewayOptions, 'routes' | 'acceptTunnel' | 'handleConnect' | 'logger' | 'clock'> {
  readonly connections: Connections;
  readonly complaints: Complaints;
}

/** Who gets what: tunnels, HTTP requests by the longest prefix, and CONNECT. */
export interface Router {
  acceptTunnel(socket: TLSSocket): void;
  /** False when the connection was refused and ended. */
  acceptHttp(socket: TLSSocket): boolean;
  handle(request: IncomingMessage, response: ServerResponse): void;
  handleConnect(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  readonly requests: number;
}

export function createRouter(options: RouterOptions): Router {
  const routes = options.routes.toSorted((a, b) => b.prefix.length - a.prefix.length);
  const peers = new WeakMap<Duplex, Peer>();
  let requests = 0;

  /** A certificate that has expired since the connection began counts no more. */
  function peerOf(socket: Duplex): Peer {
    const peer = peers.get(socket) ?? { remoteAddress: '' };
    const isExpired =
      (peer.certificate?.notAfterMs ?? Number.POSITIVE_INFINITY) <= options.clock.now();
    return isExpired ? { remoteAddress: peer.remoteAddress } : peer;
  }

  return {
    acceptTunnel: (socket) => acceptTunnel(options, socket),
    acceptHttp(socket) {
      const { peer } = identifyPeer(socket, options.clock.now());
      peers.set(socket, peer);
      const nodeName = agentIdentity(peer)?.nodeName;
      const key = nodeName === undefined ? peer.remoteAddress : `node ${nodeName}`;
      return options.connections.enterHttp(socket, key);
    },
    handle(request, response) {
      requests += 1;
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      const route = routes.find(({ prefix }) => path.startsWith(prefix));
      if (route === undefined) sendProblem(response, 404, `nothing is served at this path`);
      else void serve(options, route, { request, response, peer: peerOf(request.socket) });
    },
    handleConnect(request, socket, head) {
      requests += 1;
      socket.on('error', () => {});
      void connectThrough(options, {
        request,
        socket: socket as TLSSocket,
        head,
        peer: peerOf(socket),
      });
    },
    get requests() {
      return requests;
    },
  };
}

function acceptTunnel(options: RouterOptions, socket: TLSSocket): void {
  const { peer, problem } = identifyPeer(socket, options.clock.now());
  const identity = agentIdentity(peer);
  if (identity === undefined) {
    const found =
      problem ?? `its certificate is of "${peer.certificate?.commonName}", which is no node`;
    options.complaints.warn(`gateway closed a tunnel from ${peer.remoteAddress}: ${found}`);
    socket.destroy();
    return;
  }
  options.connections.enterTunnel(socket);
  options.acceptTunnel(socket, identity);
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly peer: Peer;
}

async function serve(options: RouterOptions, route: HttpRoute, exchange: Exchange): Promise<void> {
  const { request, response, peer } = exchange;
  try {
    await route.handle(request, response, peer);
  } catch (error) {
    // A client that goes away in the middle of its request makes handlers fail, and that is nobody's fault.
    if (!request.socket.destroyed) {
      options.logger.error(`gateway cannot answer below ${route.prefix}: ${errorMessage(error)}`);
    }
    if (response.headersSent) response.destroy();
    else sendProblem(response, 500, 'this controller has failed to answer; its log says why');
  }
}

interface ConnectExchange {
  readonly request: IncomingMessage;
  readonly socket: TLSSocket;
  readonly head: Buffer;
  readonly peer: Peer;
}

async function connectThrough(options: RouterOptions, exchange: ConnectExchange): Promise<void> {
  const { request, socket, head, peer } = exchange;
  const { handleConnect } = options;
  // What the HTTP server has set up for its own timeouts.
  socket.setTimeout(0);
  socket.removeAllListeners('timeout');
  if (handleConnect === undefined) {
    socket.end(
      'HTTP/1.1 405 CONNECT is not served here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    );
    return;
  }
  options.connections.leaveHttp(socket);
  try {
    await handleConnect(request, socket, head, peer);
  } catch (error) {
    options.logger.error(`gateway cannot answer a CONNECT: ${errorMessage(error)}`);
    socket.destroy();
  }
}

function sendProblem(response: ServerResponse, status: number, message: string): void {
  const reason = status === 404 ? 'NotFound' : 'InternalError';
  const body = `${JSON.stringify({ reason, message })}\n`;
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  });
  response.end(body);
}
