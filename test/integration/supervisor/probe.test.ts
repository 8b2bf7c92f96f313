import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultProbeTiming, probeOnce, waitUntilReady } from '../../../src/supervisor/probe.ts';
import type { ReadinessProbe } from '../../../src/supervisor/types.ts';
import { createTestCertificate, type TestCertificate } from './test-certificate.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'probe-test-'));
const servers: Server[] = [];
const sockets = new Set<{ destroy(): void }>();
const signal = new AbortController().signal;
let pki: TestCertificate;

beforeAll(() => {
  pki = createTestCertificate('api.test');
  writeFileSync(path.join(dir, 'ca.pem'), pki.certificate);
  writeFileSync(path.join(dir, 'tls.crt'), pki.certificate);
  writeFileSync(path.join(dir, 'tls.key'), pki.key);
});

afterAll(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
  rmSync(dir, { recursive: true, force: true });
});

async function listen(server: Server | HttpServer, at: number | string = 0): Promise<number> {
  servers.push(server);
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => {
    server.once('listening', () => resolve());
    if (typeof at === 'number') server.listen(at, '127.0.0.1');
    else server.listen(at);
  });
  return typeof at === 'number' ? (server.address() as AddressInfo).port : 0;
}

function look(probe: ReadinessProbe, timeoutMs = 20_000) {
  return probeOnce(probe, { timeoutMs, signal });
}

const ready = { isReady: true };
const notReady = (message: RegExp) => ({ isReady: false, message: expect.stringMatching(message) });

describe('probeOnce', () => {
  test('http: 2xx and 3xx are ready, the rest quotes the answer', async () => {
    const port = await listen(
      createHttpServer((request, response) => {
        response.statusCode = Number(request.url?.slice(1));
        response.end('[+]ping ok\n[-]etcd failed\n');
      }),
    );
    const at = (status: number) =>
      look({ type: 'http', url: `http://127.0.0.1:${port}/${status}` });
    expect(await at(200)).toEqual(ready);
    expect(await at(302)).toEqual(ready);
    expect(await at(500)).toEqual({
      isReady: false,
      message: `GET http://127.0.0.1:${port}/500 answered 500: [+]ping ok; [-]etcd failed`,
    });
  });

  test('http: an endless or a missing answer ends with the probe', async () => {
    const port = await listen(
      createHttpServer((request, response) => {
        if (request.url !== '/endless') return;
        response.writeHead(500);
        const timer = setInterval(() => response.write('x'.repeat(4096)), 1);
        response.once('close', () => clearInterval(timer));
      }),
    );
    const endless = await look({ type: 'http', url: `http://127.0.0.1:${port}/endless` });
    expect(endless).toEqual(notReady(/answered 500: …x{500}$/));
    const silent = await look({ type: 'http', url: `http://127.0.0.1:${port}/silent` }, 50);
    expect(silent).toEqual(notReady(/^GET .*silent: no answer within 50 ms$/));
  });

  test('https: verifies against the CA file and sends the client certificate', async () => {
    const port = await listen(
      createHttpsServer(
        {
          cert: pki.certificate,
          key: pki.key,
          ca: pki.certificate,
          requestCert: true,
          rejectUnauthorized: true,
        },
        (_request, response) => response.end('ok'),
      ),
    );
    const file = (name: string) => path.join(dir, name);
    const probe = { type: 'https', url: `https://127.0.0.1:${port}/readyz` } as const;
    const full = {
      ...probe,
      caFile: file('ca.pem'),
      certFile: file('tls.crt'),
      keyFile: file('tls.key'),
    };
    expect(await look({ ...full, serverName: 'api.test' })).toEqual(ready);
    expect(await look(full)).toEqual(notReady(/127\.0\.0\.1/));
    expect(await look({ ...full, serverName: 'other.test' })).toEqual(notReady(/other\.test/));
    expect(await look({ ...probe, serverName: 'api.test' })).toEqual(notReady(/self.signed/));
    expect(await look({ ...probe, caFile: file('ca.pem'), serverName: 'api.test' })).toEqual(
      notReady(/failed/),
    );
    expect(await look({ ...full, caFile: file('not-yet.pem') })).toEqual(
      notReady(/ENOENT.*not-yet\.pem/),
    );
  });

  test('tcp and unix: an accepted connection is ready', async () => {
    const port = await listen(createServer());
    await listen(createServer(), path.join(dir, 'x.sock'));
    expect(await look({ type: 'tcp', host: '127.0.0.1', port })).toEqual(ready);
    expect(await look({ type: 'unix', path: path.join(dir, 'x.sock') })).toEqual(ready);
    expect(await look({ type: 'unix', path: path.join(dir, 'y.sock') })).toEqual(
      notReady(/^connecting to .*y\.sock failed: ENOENT$/),
    );
    expect(await look({ type: 'tcp', host: '127.0.0.1', port: 1 })).toEqual(
      notReady(/ECONNREFUSED$/),
    );
  });

  test('exec: exit code 0 is ready; a hanging one is killed', async () => {
    const sh = (script: string, timeoutMs?: number) =>
      look({ type: 'exec', executable: '/bin/sh', args: ['-c', script] }, timeoutMs);
    expect(await sh('exit 0')).toEqual(ready);
    expect(await sh('echo first; echo why >&2; exit 7')).toEqual(
      notReady(/exited with code 7: why$/),
    );
    expect(await sh('exec sleep 1000', 50)).toEqual(notReady(/\/bin\/sh: no answer within 50 ms$/));
    expect(await look({ type: 'exec', executable: '/no/such', args: [] })).toEqual(
      notReady(/ENOENT/),
    );
  });
});

describe('waitUntilReady', () => {
  const timing = { ...defaultProbeTiming, intervalMs: 5 };
  const late = { type: 'unix', path: path.join(dir, 'late.sock') } as const;

  test('resolves when it serves', async () => {
    const waiting = waitUntilReady({ probe: late, startTimeoutMs: 20_000, timing, signal });
    await listen(createServer(), late.path);
    await waiting;
  });

  test('says what the last probe found', async () => {
    const probe = { type: 'tcp', host: '127.0.0.1', port: 1 } as const;
    await expect(waitUntilReady({ probe, startTimeoutMs: 100, timing, signal })).rejects.toThrow(
      'not ready 0.1 s after its start: connecting to 127.0.0.1:1 failed: ECONNREFUSED',
    );
  });

  test('ends at once when it is aborted, also within a probe', async () => {
    const port = await listen(createHttpServer(() => {}));
    const probe = { type: 'http', url: `http://127.0.0.1:${port}/` } as const;
    const abort = new AbortController();
    const patient = { ...timing, timeoutMs: 120_000 };
    const waiting = waitUntilReady({
      ...{ probe, startTimeoutMs: 120_000, timing: patient, signal: abort.signal },
    });
    setTimeout(() => abort.abort(new Error('enough')), 30);
    const before = performance.now();
    await expect(waiting).rejects.toThrow('enough');
    expect(performance.now() - before).toBeLessThan(patient.timeoutMs / 4);
  });
});
