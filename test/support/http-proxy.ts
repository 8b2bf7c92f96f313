import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface HttpProxyOptions {
  /** PEM; with it the proxy is spoken to by TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** `user:password`; anybody without them is answered with 407. */
  readonly credentials?: string;
  /** Answers every CONNECT with this status line. */
  readonly refusal?: string;
  /** Never answers. */
  readonly isSilent?: boolean;
  /** `host:port` as it was asked for → port on 127.0.0.1: names that only the proxy knows. */
  readonly routes?: Readonly<Record<string, number>>;
  /** Where it listens; 127.0.0.1 when left out. With it, it opens connections to what it is asked for. */
  readonly address?: string;
}

/** A small HTTP proxy that knows only CONNECT. */
export interface TestProxy {
  readonly port: number;
  /** What was asked for, in order. */
  readonly targets: readonly string[];
  close(): Promise<void>;
}

export async function startHttpProxy(options: HttpProxyOptions = {}): Promise<TestProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server =
    options.tls === undefined
      ? createServer({})
      : createTlsServer({ ...options.tls, ALPNProtocols: ['http/1.1'] });
  server.on('connection', (socket: Socket) => keep(socket, sockets));
  server.on('connect', (request: IncomingMessage, client: Socket, head: Buffer) => {
    targets.push(request.url ?? '');
    client.on('error', () => {});
    if (options.isSilent === true) return;
    const refusal = refusalFor(request, options);
    if (refusal === undefined) join(client, head, routeOf(request.url ?? '', options), sockets);
    else client.end(`HTTP/1.1 ${refusal}\r\nContent-Length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, options.address ?? '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function refusalFor(request: IncomingMessage, options: HttpProxyOptions): string | undefined {
  if (options.refusal !== undefined) return options.refusal;
  if (options.credentials === undefined) return undefined;
  const expected = `Basic ${Buffer.from(options.credentials).toString('base64')}`;
  return request.headers['proxy-authorization'] === expected
    ? undefined
    : '407 Proxy Authentication Required';
}

interface Route {
  readonly host: string;
  readonly port: number;
}

function routeOf(target: string, { routes = {}, address }: HttpProxyOptions): Route {
  const colon = target.lastIndexOf(':');
  const [host, port] = [target.slice(0, colon), target.slice(colon + 1)];
  return {
    host: address === undefined ? '127.0.0.1' : host,
    port: routes[target] ?? Number(port),
  };
}

function join(client: Socket, head: Buffer, route: Route, sockets: Set<Socket>): void {
  const target = connect({ ...route, allowHalfOpen: true });
  keep(target, sockets);
  client.allowHalfOpen = true;
  target.once('connect', () => {
    client.write('HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n');
    if (head.length > 0) target.write(head);
    target.pipe(client);
    client.pipe(target);
  });
  target.once('error', (error: NodeJS.ErrnoException) => {
    client.end(`HTTP/1.1 502 ${error.code}\r\n\r\n`);
  });
  target.once('close', () => client.destroy());
  client.once('close', () => target.destroy());
}

function keep(socket: Socket, sockets: Set<Socket>): void {
  sockets.add(socket);
  socket.on('error', () => {});
  socket.once('close', () => sockets.delete(socket));
}
