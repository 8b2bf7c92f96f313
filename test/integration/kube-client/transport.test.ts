import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKubeClient } from '../../../src/kube-client/client.ts';
import { createTransport, type Transport } from '../../../src/kube-client/transport.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A hostile or dying server, over real TLS. */
describe('the transport against a server that misbehaves', () => {
  let directory: string;
  let server: Server;
  let url: string;
  let caFile: string;
  let requests = 0;
  let handler: Handler = (_request, response) => response.end('{}');

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-transport-'));
    const keyFile = path.join(directory, 'server.key');
    caFile = path.join(directory, 'server.crt');
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
        ...['-keyout', keyFile, '-out', caFile, '-subj', '/CN=server', '-days', '1'],
        ...['-addext', 'subjectAltName=DNS:kubernetes'],
      ],
      { stdio: 'ignore' },
    );
    server = createServer({ key: await readFile(keyFile), cert: await readFile(caFile) });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      requests += 1;
      handler(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true });
  });
  beforeEach(() => {
    requests = 0;
  });

  const base = { requestTimeoutMs: 30_000, maxResponseBytes: 1_000 };
  async function using<T>(
    change: Partial<Parameters<typeof createTransport>[0]>,
    act: (transport: Transport) => Promise<T>,
  ): Promise<T> {
    const transport = createTransport({
      server: url,
      caFile,
      servername: 'kubernetes',
      ...base,
      ...change,
    });
    try {
      return await act(transport);
    } finally {
      transport.close();
    }
  }
  const get = { method: 'GET', path: '/' } as const;

  it('verifies the name it is told to', async () => {
    handler = (_request, response) => response.end('{}');
    expect(await using({}, (transport) => transport.send(get))).toBe('{}');
    const wrong = using({ servername: 'other' }, (transport) => transport.send(get));
    await expect(wrong).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('gives up on an answer that does not come, or does not end', async () => {
    const change = { requestTimeoutMs: 200 };
    const silent = { name: 'KubeConnectionError', code: 'ETIMEDOUT' };
    handler = () => {};
    await expect(using(change, (transport) => transport.send(get))).rejects.toMatchObject(silent);
    handler = (_request, response) => response.write('{');
    await expect(using(change, (transport) => transport.send(get))).rejects.toMatchObject(silent);
  });

  it('refuses an answer without bounds', async () => {
    handler = (_request, response) => response.end('x'.repeat(2_000));
    await expect(using({}, (transport) => transport.send(get))).rejects.toThrow(
      'longer than 1000 bytes',
    );
  });

  it('reports an answer that breaks off', async () => {
    handler = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"half":', () => response.destroy());
    };
    await expect(using({}, (transport) => transport.send(get))).rejects.toMatchObject({
      name: 'KubeConnectionError',
    });
  });

  it('sends again what a kept connection lost, but never a POST', async () => {
    const statuses: string[] = [];
    for (const method of ['GET', 'POST'] as const) {
      requests = 0;
      handler = (request, response) => {
        // The second request finds the connection closed under it, without an answer.
        if (requests === 2) request.socket.destroy();
        else response.end('{}');
      };
      await using({}, async (transport) => {
        await transport.send(get);
        const second = transport.send({ ...get, method }).then(
          () => 'answered',
          () => 'failed',
        );
        statuses.push(`${method} ${await second}`);
      });
    }
    expect(statuses).toEqual(['GET answered', 'POST failed']);
  });

  it('ends a watch on which nothing comes any more', async () => {
    handler = (_request, response) => response.write('{"type":"BOOKMARK"}\n');
    await using({}, async (transport) => {
      const response = await transport.open(get, 2_000);
      const reading = (async () => {
        for await (const _chunk of response);
      })();
      await expect(reading).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    });
  });

  it('leaves no listener on a signal that outlives the requests', async () => {
    handler = (_request, response) => response.end('{}');
    const client = createKubeClient({ server: url, caFile, servername: 'kubernetes' });
    const abort = new AbortController();
    let listeners = 0;
    const { signal } = abort;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...input: Parameters<typeof add>) => {
      listeners += 1;
      add(...input);
    };
    signal.removeEventListener = (...input: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...input);
    };
    for (let count = 0; count < 20; count += 1) await client.getJson('/', signal);
    client.close();
    expect(requests).toBe(20);
    expect(listeners).toBe(0);
  });
});
