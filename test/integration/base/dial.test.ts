import { once } from 'node:events';
import { createServer, type LookupFunction, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { type DialOptions, dialTcp } from '../../../src/base/dial.ts';
import { type ProxySettings, proxySettingsFrom } from '../../../src/base/proxy-settings.ts';
import { freePorts } from '../../support/free-ports.ts';
import { type HttpProxyOptions, startHttpProxy, type TestProxy } from '../../support/http-proxy.ts';
import { listenOnLoopback } from '../../support/loopback-server.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const { signal } = new AbortController();
const authority = createTestAuthority();

async function listen(server: Server): Promise<number> {
  const { port, close } = await listenOnLoopback(server);
  cleanups.push(close);
  return port;
}

/** Speaks first, then says back what it hears, and goes on after a FIN. */
function echoServer(): Promise<number> {
  return listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.write('hello ');
      socket.pipe(socket);
    }),
  );
}

async function proxied(options: HttpProxyOptions = {}): Promise<TestProxy> {
  const proxy = await startHttpProxy(options);
  cleanups.push(() => proxy.close());
  return proxy;
}

function through(url: string, ca?: string): ProxySettings {
  const settings = proxySettingsFrom({ HTTPS_PROXY: url });
  if (settings === undefined) throw new Error('no proxy');
  return ca === undefined ? settings : { ...settings, proxy: { ...settings.proxy, ca } };
}

function dial(options: Partial<DialOptions> & { port: number }): Promise<Socket> {
  return dialTcp({ host: '127.0.0.1', timeoutMs: 20_000, ...options }, signal);
}

/** Sends, ends its own direction, and reads to the end. */
async function exchange(socket: Socket, text: string): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = once(socket, 'end');
  socket.end(text);
  await ended;
  return Buffer.concat(chunks).toString();
}

test('a straight connection, half-open when wanted', async () => {
  const socket = await dial({ port: await echoServer(), allowHalfOpen: true });
  expect(await exchange(socket, 'world')).toBe('hello world');
});

test('through an http proxy, by a name that only the proxy knows', async () => {
  const port = await echoServer();
  const proxy = await proxied({ routes: { 'api.example.test:6443': port } });
  const settings = through(`http://127.0.0.1:${proxy.port}`);
  const options = { host: 'api.example.test', port: 6443, proxy: settings, allowHalfOpen: true };
  // The target speaks first: what comes with or after the answer to CONNECT is the target's.
  expect(await exchange(await dial(options), 'world')).toBe('hello world');
  expect(proxy.targets).toEqual(['api.example.test:6443']);
});

test('through an https proxy with user and password', async () => {
  const port = await echoServer();
  const tls = authority.issueServer({ ipAddresses: ['127.0.0.1'] });
  const proxy = await proxied({
    tls,
    credentials: 'user:p@ss',
    routes: { '[fd00::4]:9443': port },
  });
  const settings = through(`https://user:p%40ss@127.0.0.1:${proxy.port}`, authority.ca);
  const socket = await dial({ host: 'fd00::4', port: 9443, proxy: settings, allowHalfOpen: true });
  expect(await exchange(socket, 'world')).toBe('hello world');
  expect(proxy.targets).toEqual(['[fd00::4]:9443']);
});

test('an https proxy of another authority is refused', async () => {
  const tls = authority.issueServer({ ipAddresses: ['127.0.0.1'] });
  const proxy = await proxied({ tls });
  const settings = through(`https://127.0.0.1:${proxy.port}`, createTestAuthority('other').ca);
  await expect(dial({ host: '192.0.2.4', port: 1, proxy: settings })).rejects.toThrow(
    new RegExp(`cannot connect to proxy 127.0.0.1:${proxy.port}: .*certificate`),
  );
  expect(proxy.targets).toEqual([]);
});

test('TLS over what comes out of a proxy', async () => {
  const server = createTlsServer(authority.issueServer({ dnsNames: ['kubernetes'] }), (socket) =>
    socket.end('secret'),
  );
  const proxy = await proxied({ routes: { '192.0.2.4:6443': await listen(server) } });
  const settings = through(`http://127.0.0.1:${proxy.port}`);
  const socket = await dial({ host: '192.0.2.4', port: 6443, proxy: settings });
  const secure = connectTls({ socket, ca: authority.ca, servername: 'kubernetes' });
  expect(String((await once(secure, 'data'))[0])).toBe('secret');
});

test.each([
  [
    '403 Forbidden',
    /^proxy 127\.0\.0\.1:\d+ refuses to connect to 192\.0\.2\.4:9443: 403 Forbidden$/,
  ],
  [
    '407 Authenticate',
    /: 407 Authenticate \(it does not accept the user and password of HTTPS_PROXY\)$/,
  ],
])('a proxy that says %s is named, and the password is not', async (refusal, message) => {
  const proxy = await proxied({ refusal });
  const settings = through(`http://user:hunter2@127.0.0.1:${proxy.port}`);
  const error = await dial({ host: '192.0.2.4', port: 9443, proxy: settings }).catch((e) => e);
  expect(error.message).toMatch(message);
  expect(error).toMatchObject({ code: 'EPROXY', isOfProxy: true });
  expect(JSON.stringify([error, String(error), error.stack])).not.toMatch(/hunter2|dXNlcjp/);
});

test('whether it is the proxy that does not answer, or the target', async () => {
  const [dead = 0] = await freePorts(1);
  const settings = through(`http://127.0.0.1:${dead}`);
  await expect(dial({ host: '192.0.2.4', port: 9443, proxy: settings })).rejects.toMatchObject({
    message: `proxy 127.0.0.1:${dead} refuses connections`,
    isOfProxy: true,
  });
  await expect(dial({ host: '127.0.0.1', port: dead, proxy: settings })).rejects.toMatchObject({
    message: `127.0.0.1:${dead} refuses connections`,
    isOfProxy: false,
  });
});

test('a proxy that needs a password and got none', async () => {
  const proxy = await proxied({ credentials: 'a:b' });
  const settings = through(`http://127.0.0.1:${proxy.port}`);
  await expect(dial({ host: '192.0.2.4', port: 9443, proxy: settings })).rejects.toThrow(
    /407 .*\(there are no user and password in HTTPS_PROXY\)/,
  );
});

test('what is no proxy, one that closes, one that is silent', async () => {
  const speaks = await listen(createServer((socket) => socket.end('SSH-2.0-x\r\n\r\n')));
  const closes = await listen(createServer((socket) => socket.end()));
  const { port: silent } = await proxied({ isSilent: true });
  const via = (port: number, options: Partial<DialOptions> = {}) =>
    dial({
      ...{ host: '192.0.2.4', port: 9443, ...options },
      proxy: through(`http://127.0.0.1:${port}`),
    });
  await expect(via(speaks)).rejects.toThrow(/proxy \S+ does not answer as an HTTP proxy/);
  await expect(via(closes)).rejects.toThrow(/proxy \S+ closed the connection instead of/);
  await expect(via(silent, { timeoutMs: 300 })).rejects.toThrow(
    /proxy \S+ did not answer within 0.3 s/,
  );
});

test('a refused connection, straight and at the proxy', async () => {
  const [port = 0] = await freePorts(1);
  await expect(dial({ port })).rejects.toMatchObject({
    code: 'ECONNREFUSED',
    message: `127.0.0.1:${port} refuses connections`,
  });
  const proxy = through(`http://127.0.0.1:${port}`);
  await expect(dial({ host: '192.0.2.4', port: 1, proxy })).rejects.toThrow(
    `proxy 127.0.0.1:${port} refuses connections`,
  );
});

test('names are looked up by each call, and one dead address of several is no obstacle', async () => {
  const port = await echoServer();
  const asked: string[] = [];
  const lookup: LookupFunction = (name, _options, callback) => {
    asked.push(name);
    // Nothing listens on the first.
    callback(null, [
      { address: '127.0.0.9', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);
  };
  for (let call = 0; call < 2; call += 1) {
    const socket = await dial({ host: 'api.example.test', port, lookup });
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
  }
  expect(asked).toEqual(['api.example.test', 'api.example.test']);
});

test('a name that nobody knows', async () => {
  const lookup: LookupFunction = (_name, _options, callback) =>
    callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
  await expect(dial({ host: 'api.example.test', port: 1, lookup })).rejects.toThrow(
    'the name api.example.test cannot be resolved (ENOTFOUND)',
  );
});

test('a resolver that hangs is bounded too', async () => {
  await expect(
    dial({ host: 'api.example.test', port: 1, lookup: () => {}, timeoutMs: 50 }),
  ).rejects.toThrow('api.example.test:1 did not answer within 0.05 s');
});

test('an abort ends the attempt with its reason', async () => {
  const abort = new AbortController();
  const { port } = await proxied({ isSilent: true });
  const proxy = through(`http://127.0.0.1:${port}`);
  const call = dialTcp({ host: '192.0.2.4', port: 1, timeoutMs: 3_000, proxy }, abort.signal);
  abort.abort(new Error('enough'));
  await expect(call).rejects.toThrow('enough');
  await expect(
    dialTcp({ host: '192.0.2.4', port: 1, timeoutMs: 3_000 }, abort.signal),
  ).rejects.toThrow('enough');
});

test('later errors of the socket end nothing but the socket', async () => {
  const accepted = Promise.withResolvers<Socket>();
  const port = await listen(createServer((socket) => accepted.resolve(socket)));
  const socket = await dial({ port });
  const closed = new Promise<boolean>((resolve) => socket.once('close', resolve));
  socket.resume();
  (await accepted.promise).resetAndDestroy();
  expect(await closed).toBe(true);
});
