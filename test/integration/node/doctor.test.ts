import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { renderEnvironment } from '../../../src/install/render-environment.ts';
import { checkConnectivity, type DoctorOptions } from '../../../src/node/doctor.ts';
import type { DoctorReport } from '../../../src/node/doctor-types.ts';
import { openBlackHole } from '../../support/black-hole.ts';
import { fakeContext } from '../../support/fake-stream.ts';
import { freePorts } from '../../support/free-ports.ts';
import { startHttpProxy } from '../../support/http-proxy.ts';
import { createTestAuthority, type TestAuthority } from '../../support/tls-authority.ts';

const authority = createTestAuthority();
let dataDir: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'mini-k8s-doctor-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(dataDir, { recursive: true, force: true });
});

interface ServerOptions {
  readonly kind: 'gateway' | 'api';
  readonly authority?: TestAuthority;
  readonly answer?: (response: ServerResponse) => void;
  readonly protocols?: readonly string[];
  /** Longer headers are never answered. */
  readonly losesBigRequests?: boolean;
}

/** What it saw of its clients. */
interface Seen {
  readonly address: string;
  readonly port: number;
  readonly certificates: boolean[];
}

async function serve(options: ServerOptions): Promise<Seen> {
  const name = options.kind === 'api' ? 'kubernetes' : 'gateway.mini-k8s.internal';
  const certificates: boolean[] = [];
  const server = createServer(
    {
      ...(options.authority ?? authority).issueServer({ dnsNames: [name] }),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: [
        ...(options.protocols ??
          (options.kind === 'api' ? ['http/1.1'] : ['mini-k8s-tunnel/1', 'http/1.1'])),
      ],
    },
    (request, response) => {
      if (options.losesBigRequests === true && JSON.stringify(request.headers).length > 1_000)
        return;
      if (options.answer !== undefined) options.answer(response);
      else response.writeHead(options.kind === 'api' ? 200 : 404).end();
    },
  );
  server.on('secureConnection', (socket: TLSSocket) => {
    certificates.push(socket.getPeerX509Certificate() !== undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, port, certificates };
}

async function joined(gateways: readonly string[], apiServers: readonly string[]): Promise<void> {
  const document = {
    version: 1,
    ca: authority.ca,
    apiServers,
    gateways,
    config: {},
    kubernetesVersion: '1.37.1',
    site: { name: 'main', isBehindNat: false },
    artifacts: [],
  };
  await mkdir(path.join(dataDir, 'state'));
  await writeFile(path.join(dataDir, 'state/join.json'), JSON.stringify(document));
  await writeFile(path.join(dataDir, 'state/node-name'), 'edge-1\n');
}

function examine(options: Partial<DoctorOptions> = {}): Promise<DoctorReport> {
  const { signal } = new AbortController();
  return checkConnectivity({ dataDir, env: {}, timeoutMs: 20_000, ...options }, signal);
}

const states = (report: DoctorReport, address: string) =>
  report.checks
    .filter((check) => check.address === address)
    .map(({ check, state }) => `${check} ${state}`);

const find = (report: DoctorReport, check: string) =>
  report.checks.find((found) => found.check === check);

/** A server without TLS; the connections that it leaves open end with the test. */
async function listenTcp(serveSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serveSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function unusedPort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

test('everything of a worker whose controller is well', async () => {
  const [gateway, api] = [await serve({ kind: 'gateway' }), await serve({ kind: 'api' })];
  await joined([gateway.address], [api.address]);
  const report = await examine();
  expect(report.isHealthy).toBe(true);
  expect(report.source).toBe(path.join(dataDir, 'state/join.json'));
  expect(states(report, gateway.address)).toEqual([
    'tcp ok',
    'tls ok',
    'answer ok',
    'clock ok',
    'packet-size ok',
    'tunnel ok',
  ]);
  expect(states(report, api.address)).toEqual([
    'tcp ok',
    'tls ok',
    'answer ok',
    'clock ok',
    'packet-size ok',
  ]);
  expect(find(report, 'packet-size')?.what).toMatch(/^packets of up to \d+ bytes leave by lo,/);
  // No secret and no certificate of the node is shown to what may be anybody.
  expect(gateway.certificates).not.toContain(true);
});

test('a port that is closed, and what answers beside it', async () => {
  const api = await serve({ kind: 'api' });
  const closed = `127.0.0.1:${await unusedPort()}`;
  await joined([closed], [api.address]);
  const report = await examine();
  expect(report.isHealthy).toBe(false);
  expect(states(report, closed)).toEqual(['tcp fail']);
  expect(find(report, 'tcp')?.why).toBe(`${closed} refuses connections`);
  expect(states(report, api.address)).not.toContainEqual(expect.stringContaining('fail'));
});

test('an address that swallows everything costs one time-out, and the port to open is named', async () => {
  const port = await openBlackHole();
  const blackHole = `127.0.0.1:${port}`;
  const api = await serve({ kind: 'api' });
  await joined([blackHole], [api.address]);
  const startedAt = performance.now();
  const report = await examine({ timeoutMs: 5_000 });
  // A check of its own for each of the other five questions would take as long again each.
  expect(performance.now() - startedAt).toBeLessThan(25_000);
  expect(states(report, blackHole)).toEqual(['tcp fail']);
  expect(find(report, 'tcp')).toMatchObject({
    what: 'cannot be reached',
    why: `${blackHole} did not answer within 5 s`,
    fix: `open TCP port ${port} from this machine to the controller, and check the address`,
  });
  expect(states(report, api.address)).toContain('answer ok');
});

test('a server that takes the connection and says nothing is not called unreachable', async () => {
  const address = await listenTcp(() => {});
  await joined([address], [address]);
  const report = await examine({ timeoutMs: 2_000 });
  expect(report.checks.filter(({ state }) => state === 'fail')).toMatchObject([
    { check: 'tls', why: 'nothing came within 2 s' },
    { check: 'tls', why: 'nothing came within 2 s' },
  ]);
});

test('a command says it all as text and as JSON, and ends with 1 when something is wrong', async () => {
  const [gateway, api] = [await serve({ kind: 'gateway' }), await serve({ kind: 'api' })];
  const closed = `127.0.0.1:${await unusedPort()}`;
  await joined([gateway.address, closed], [api.address]);
  const ask = async (...args: string[]) => {
    const context = fakeContext();
    const command = ['doctor', '--connectivity', '--data-dir', dataDir, ...args];
    return { exitCode: await run(command, context), text: context.stdout.text() };
  };
  const asText = await ask();
  expect(asText.exitCode).toBe(1);
  const [, , first, second] = asText.text.split('\n');
  expect([first, second]).toEqual([
    gateway.address,
    expect.stringMatching(/^ {2}✓ tcp +answers in \d+ ms$/),
  ]);
  expect(asText.text).toContain(
    `${closed}\n  ✗ tcp         cannot be reached: ${closed} refuses connections\n      fix: check that mini-k8s runs on the controller`,
  );
  expect(asText.text.trimEnd().split('\n').at(-1)).toBe('1 of 12 checks failed.');
  const asJson = await ask('-o', 'json');
  expect(asJson.exitCode).toBe(1);
  const report = JSON.parse(asJson.text) as DoctorReport;
  expect(report).toMatchObject({ isHealthy: false, source: path.join(dataDir, 'state/join.json') });
  expect(states(report, closed)).toEqual(['tcp fail']);
  expect(await ask('--server', gateway.address)).toMatchObject({ exitCode: 0 });
});

test('somebody in the middle is named', async () => {
  const impostor = await serve({ kind: 'gateway', authority: createTestAuthority('inspector') });
  await joined([impostor.address], [impostor.address]);
  const report = await examine();
  expect(find(report, 'tls')).toMatchObject({
    state: 'fail',
    why: expect.stringMatching(/^it was signed by CN=inspector and not by this cluster's CA/),
  });
});

test('the gateway on the port of the API', async () => {
  const gateway = await serve({ kind: 'gateway' });
  await joined([gateway.address], [gateway.address]);
  const report = await examine();
  const problems = report.checks.filter(({ state }) => state === 'fail');
  expect(problems.map(({ check, why }) => `${check} ${why}`)).toEqual([
    'tls it is of CN=test-server, which is no kube-apiserver',
    'answer /readyz answered 404',
  ]);
});

test('a clock that is a year off', async () => {
  const answer = (response: ServerResponse) =>
    response.writeHead(200, { date: new Date(Date.now() + 365 * 86_400_000).toUTCString() }).end();
  const [gateway, api] = [await serve({ kind: 'gateway', answer }), await serve({ kind: 'api' })];
  await joined([gateway.address], [api.address]);
  expect(find(await examine(), 'clock')).toMatchObject({
    state: 'fail',
    what: "its clock is 365 days ahead of this machine's",
  });
});

test('requests of several packets that get lost, an API that is not ready, no tunnel', async () => {
  const gateway = await serve({ kind: 'gateway', losesBigRequests: true, protocols: ['http/1.1'] });
  const answer = (response: ServerResponse) => response.writeHead(500).end();
  const api = await serve({ kind: 'api', answer });
  await joined([gateway.address], [api.address]);
  const report = await examine({ timeoutMs: 5_000 });
  expect(states(report, gateway.address)).toEqual([
    'tcp ok',
    'tls ok',
    'answer ok',
    'clock ok',
    'packet-size fail',
    'tunnel fail',
  ]);
  expect(states(report, api.address)).toContain('answer fail');
});

test('what does not speak TLS, and what never answers', async () => {
  const plain = await listenTcp((socket) => socket.end('SSH-2.0-x\r\n'));
  const answer = () => {};
  const silent = await serve({ kind: 'api', answer });
  await joined([plain], [silent.address]);
  const report = await examine({ timeoutMs: 2_000 });
  expect(states(report, plain)).toEqual(['tcp ok', 'tls fail', 'packet-size ok']);
  expect(find(report, 'answer')).toMatchObject({ state: 'fail', why: 'nothing came within 2 s' });
});

test('the way through a proxy, which is named, and its refusal', async () => {
  const [gateway, api] = [await serve({ kind: 'gateway' }), await serve({ kind: 'api' })];
  await joined(['controller.example.test:9443'], ['controller.example.test:6443']);
  const proxy = await startHttpProxy({
    credentials: 'user:hunter2',
    routes: {
      'controller.example.test:9443': gateway.port,
      'controller.example.test:6443': api.port,
    },
  });
  cleanups.push(() => proxy.close());
  const url = `127.0.0.1:${proxy.port}`;
  const good = await examine({ env: { HTTPS_PROXY: `http://user:hunter2@${url}` } });
  expect(good.isHealthy).toBe(true);
  expect(find(good, 'tcp')?.what).toMatch(new RegExp(`through proxy ${url}$`));
  const bad = await examine({ env: { HTTPS_PROXY: `http://user:wrong@${url}` } });
  expect(find(bad, 'tcp')).toMatchObject({ state: 'fail', why: expect.stringContaining('407') });
  expect(JSON.stringify([good, bad])).not.toMatch(/hunter2|wrong/);
});

test('the way through the proxy of the configuration, whatever else is wrong with that', async () => {
  const [gateway, api] = [await serve({ kind: 'gateway' }), await serve({ kind: 'api' })];
  await joined(['controller.example.test:9443'], ['controller.example.test:6443']);
  const proxy = await startHttpProxy({
    routes: {
      'controller.example.test:9443': gateway.port,
      'controller.example.test:6443': api.port,
    },
  });
  cleanups.push(() => proxy.close());
  const configFile = path.join(dataDir, 'config.yaml');
  const configure = (spec: object) => writeFile(configFile, JSON.stringify({ spec }));
  const https = `http://127.0.0.1:${proxy.port}`;
  await configure({ proxy: { https }, nonsense: 1 });
  // The file lies over the environment, where a node would find nothing.
  const env = { HTTPS_PROXY: `http://127.0.0.1:${await unusedPort()}` };
  const report = await examine({ configFile, env });
  expect(report.isHealthy).toBe(true);
  expect(find(report, 'tcp')?.what).toMatch(new RegExp(`through proxy 127.0.0.1:${proxy.port}$`));

  await configure({ proxy: { https, noProxy: ['controller.example.test'] } });
  expect(find(await examine({ configFile, env }), 'tcp')).toMatchObject({ state: 'fail' });
  expect(proxy.targets).toContain('controller.example.test:9443');

  // An installed node has its environment from a file, which no shell knows of.
  await configure({});
  const environmentFile = path.join(dataDir, 'environment');
  await writeFile(environmentFile, renderEnvironment({ HTTPS_PROXY: https }));
  expect((await examine({ configFile, env, environmentFile })).isHealthy).toBe(true);

  await configure({ proxy: { https: 'ftp://x' } });
  await expect(examine({ configFile, env })).rejects.toThrow('spec.proxy.https');
});

test('servers that only the API names are no fault', async () => {
  const [gateway, api] = [await serve({ kind: 'gateway' }), await serve({ kind: 'api' })];
  await joined([gateway.address], [api.address]);
  const learned = `127.0.0.1:${await unusedPort()}`;
  const file = path.join(dataDir, 'state/api-servers.json');
  await writeFile(file, JSON.stringify({ version: 1, servers: [api.address, learned] }));
  const report = await examine();
  expect(report.isHealthy).toBe(true);
  expect(states(report, learned)).toEqual(['tcp warn']);
});

test('a machine that has not joined may name a controller', async () => {
  await expect(examine()).rejects.toMatchObject({
    message: expect.stringMatching(
      /^Cannot check the connection to the controllers: this machine has not joined/,
    ),
    fix: expect.stringContaining('--server'),
  });
  const gateway = await serve({ kind: 'gateway' });
  const report = await examine({ server: gateway.address });
  expect(report).toMatchObject({ source: '--server', isHealthy: true });
  expect(find(report, 'tls')).toMatchObject({
    state: 'warn',
    what: expect.stringMatching(/the pin [\w-]{43}$/),
  });
});

test('a controller looks at what it tells workers', async () => {
  const gateway = await serve({ kind: 'gateway' });
  await mkdir(path.join(dataDir, 'etc'));
  await mkdir(path.join(dataDir, 'pki'));
  await writeFile(
    path.join(dataDir, 'etc/gateway.json'),
    JSON.stringify({ servers: [gateway.address] }),
  );
  const api = await serve({ kind: 'api' });
  await writeFile(
    path.join(dataDir, 'etc/admin.kubeconfig'),
    `    server: "https://127.0.0.1:${api.port}"\n`,
  );
  await writeFile(path.join(dataDir, 'pki/ca.crt'), authority.ca);
  const report = await examine();
  expect(report.isHealthy).toBe(true);
  expect(new Set(report.checks.map(({ address }) => address))).toEqual(
    new Set([gateway.address, api.address]),
  );
  expect(find(report, 'tls')?.state).toBe('ok');
});
