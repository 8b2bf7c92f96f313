import { request as sendRequest } from 'node:https';
import { afterEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { gatewayServerName, tunnelProtocol } from '../../../src/base/gateway-names.ts';
import type { HttpRoute, Peer } from '../../../src/base/http-route.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import { defaultLimits } from '../../../src/gateway/connections.ts';
import {
  closed,
  dayMs,
  type GatewayRig,
  type Pair,
  type RigOptions,
  readToEnd,
  rigAuthority,
  startGateway,
} from './rig.ts';

const rigs: GatewayRig[] = [];

async function start(options: RigOptions = {}): Promise<GatewayRig> {
  const rig = await startGateway(options);
  rigs.push(rig);
  return rig;
}

afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop();
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

function get(rig: GatewayRig, path: string, credentials: Partial<Pair> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = sendRequest({
      host: '127.0.0.1',
      port: rig.port,
      path,
      agent: false,
      ca: rig.authority.pem,
      servername: gatewayServerName,
      ...credentials,
    });
    call.on('error', reject);
    call.on('response', (response) => {
      void readToEnd(response).then((body) => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.end();
  });
}

/** Answers with its name and who asked. */
function echoRoute(prefix: string): HttpRoute {
  return {
    prefix,
    handle: (_request, response, peer) => {
      response.end(JSON.stringify({ prefix, peer }));
    },
  };
}

describe('the gateway, by protocol', () => {
  it('hands the connection of an agent over with the identity of its certificate', async () => {
    const rig = await start({
      acceptTunnel: (socket, identity) => {
        rigs[0]?.tunnels.push({ socket, identity });
        socket.pipe(socket);
      },
    });
    const agent = await rig.connect({
      ALPNProtocols: [tunnelProtocol],
      ...rig.authority.node('edge-1'),
    });
    agent.write('frame');
    const [echo] = await new Promise<Buffer[]>((resolve) =>
      agent.once('data', (data) => resolve([data])),
    );
    expect(String(echo)).toBe('frame');
    const [tunnel] = rig.tunnels;
    expect(tunnel?.identity).toMatchObject({ nodeName: 'edge-1', remoteAddress: '127.0.0.1' });
    expect(tunnel?.identity.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(tunnel?.identity.notAfterMs).toBeGreaterThan(Date.now() + dayMs);
    expect(rig.gateway.status()).toMatchObject({ tunnelConnections: 1, httpConnections: 0 });
    agent.destroy();
    await waitFor(() => rig.gateway.status().tunnelConnections === 0, {
      subject: 'the tunnel to be forgotten',
      timeoutMs: 20_000,
    });
  });

  it('takes each agent for the node of its own certificate', async () => {
    const rig = await start();
    for (const name of ['edge-1', 'edge-2']) {
      await rig.connect({ ALPNProtocols: [tunnelProtocol], ...rig.authority.node(name) });
    }
    await waitFor(() => rig.tunnels.length === 2, { subject: 'two tunnels', timeoutMs: 20_000 });
    expect(rig.tunnels.map(({ identity }) => identity.nodeName).toSorted()).toEqual([
      'edge-1',
      'edge-2',
    ]);
  });

  const authority = rigAuthority();
  const nodeSubject = { commonName: 'system:node:edge-1', organizations: ['system:nodes'] };
  it.each<[string, Partial<Pair>, RegExp]>([
    ['without a certificate', {}, /it has no certificate/],
    [
      'of an operator',
      authority.issue({ commonName: 'admin', organizations: ['system:masters'] }),
      /is of "admin", which is no node/,
    ],
    [
      'of a node that is an operator too',
      authority.issue({ ...nodeSubject, organizations: ['system:nodes', 'system:masters'] }),
      /which is no node/,
    ],
    [
      'with a certificate for servers',
      authority.issue({ ...nodeSubject, usage: 'server' }),
      /edge-1.*(not for clients|INVALID_PURPOSE)/,
    ],
    [
      'whose certificate has expired',
      authority.node('edge-1', Date.now() - 3 * dayMs),
      /edge-1.*expired at 20/,
    ],
    [
      'whose certificate is of tomorrow',
      authority.node('edge-1', Date.now() + dayMs),
      /edge-1.*not valid before 20/,
    ],
    ['of another cluster', rigAuthority().node('edge-1'), /edge-1.*is refused: /],
    ['with a reserved name', authority.node('gateway.mini-k8s.internal'), /which is no node/],
  ])('closes the tunnel of a client %s and says why', async (_who, credentials, reason) => {
    const rig = await start({ authority });
    const client = await rig.connect({ ALPNProtocols: [tunnelProtocol], ...credentials });
    client.resume();
    await closed(client);
    expect(rig.tunnels).toEqual([]);
    expect(rig.log.join('')).toMatch(/WARN .*gateway closed a tunnel from 127\.0\.0\.1: its? /);
    expect(rig.log.join('')).toMatch(reason);
  });

  it('speaks TLS 1.3 only, and no other protocol', async () => {
    const rig = await start({ routes: [echoRoute('/')] });
    await expect(rig.connect({ maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/i);
    await expect(rig.connect({ ALPNProtocols: ['h2'] })).rejects.toThrow(/application protocol/i);
    const client = await rig.connect({ ALPNProtocols: ['h2', 'http/1.1'] });
    expect(client.alpnProtocol).toBe('http/1.1');
  });
});

describe('HTTP behind the gateway', () => {
  it('goes to the route with the longest prefix, which hears who asks', async () => {
    const rig = await start({
      routes: [echoRoute('/v2/'), echoRoute('/v2/mini-k8s/'), echoRoute('/join/v1/')],
    });
    const prefixOf = async (path: string) => {
      const { body } = await get(rig, path);
      return (JSON.parse(body) as { prefix?: string }).prefix;
    };
    expect(await prefixOf('/v2/?n=1')).toBe('/v2/');
    expect(await prefixOf('/v2/mini-k8s/kubernetes/tags/list')).toBe('/v2/mini-k8s/');
    expect(await prefixOf('/join/v1/nodes')).toBe('/join/v1/');
    const peerOf = async (credentials: Partial<Pair>) =>
      (JSON.parse((await get(rig, '/v2/', credentials)).body) as { peer: Peer }).peer;
    expect(await peerOf({})).toEqual({ remoteAddress: '127.0.0.1' });
    const node = await peerOf(rig.authority.node('edge-1'));
    expect(node.certificate).toMatchObject({
      commonName: 'system:node:edge-1',
      organizations: ['system:nodes'],
    });
    for (const bad of [
      rig.authority.node('edge-1', Date.now() - 3 * dayMs),
      rigAuthority().node('edge-1'),
    ]) {
      expect(await peerOf(bad)).toEqual({ remoteAddress: '127.0.0.1' });
    }
  });

  it('answers 404 where nothing is, and 500 without details where a route fails', async () => {
    const rig = await start({
      routes: [
        { prefix: '/v2/', handle: async () => Promise.reject(new Error('the disk at /dev/sda')) },
      ],
    });
    expect(await get(rig, '/')).toEqual({
      status: 404,
      body: expect.stringContaining('"NotFound"'),
    });
    const failed = await get(rig, '/v2/');
    expect(failed.status).toBe(500);
    expect(failed.body).not.toContain('/dev/sda');
    expect(rig.log.join('')).toContain(
      'ERROR gateway cannot answer below /v2/: the disk at /dev/sda',
    );
  });

  it('forgets a certificate that expires while its connection is open', async () => {
    let nowMs = Date.now();
    const rig = await start({ routes: [echoRoute('/')], clock: { now: () => nowMs } });
    const client = await rig.connect(rig.authority.node('edge-1'));
    const ask = () => {
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      return new Promise<string>((resolve) => client.once('data', (data) => resolve(String(data))));
    };
    expect(await ask()).toContain('system:node:edge-1');
    nowMs += 3 * dayMs;
    expect(await ask()).not.toContain('system:node:edge-1');
  });

  it('hands CONNECT over with what came after it, or refuses it', async () => {
    const without = await start();
    const refused = await without.connect();
    refused.write('CONNECT edge-1:10250 HTTP/1.1\r\nHost: edge-1:10250\r\n\r\n');
    expect(await readToEnd(refused)).toMatch(/^HTTP\/1\.1 405 /);
    const rig = await start({
      handleConnect: (request, socket, head, peer) => {
        socket.write(`HTTP/1.1 200 OK\r\n\r\n${request.url} ${peer.remoteAddress} ${String(head)}`);
        socket.pipe(socket);
      },
    });
    const client = await rig.connect();
    client.write('CONNECT edge-1:10250 HTTP/1.1\r\nHost: edge-1:10250\r\n\r\nhello');
    const text = readToEnd(client);
    client.end(' and more');
    expect(await text).toBe('HTTP/1.1 200 OK\r\n\r\nedge-1:10250 127.0.0.1 hello and more');
  });
});

describe('the life of the gateway', () => {
  it('shows a renewed certificate without a restart, and keeps the old one while files do not fit', async () => {
    const rig = await start({ reloadIntervalMs: 20 });
    const shown = async () => {
      const client = await rig.connect();
      return client.getPeerX509Certificate()?.serialNumber;
    };
    const old = await shown();
    const renewed = rig.authority.gateway();
    await rig.writePair({ cert: renewed.cert });
    await waitFor(() => rig.log.join('').includes('gateway keeps its certificate'), {
      subject: 'the half-written pair to be noticed',
      timeoutMs: 20_000,
    });
    expect(await shown()).toBe(old);
    await rig.writePair({ key: renewed.key });
    await waitFor(async () => (await shown()) !== old, {
      subject: 'the renewed certificate',
      timeoutMs: 20_000,
    });
    expect(rig.log.filter((line) => line.includes('keeps its certificate'))).toHaveLength(1);
  });

  it('stops at once whatever clients do', async () => {
    const rig = await start({
      routes: [{ prefix: '/', handle: () => {} }],
      handleConnect: (_request, socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\n'),
    });
    const hanging = await rig.connect();
    hanging.write('GET /forever HTTP/1.1\r\nHost: x\r\n\r\n');
    const dawdling = await rig.connect();
    dawdling.write('POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1');
    const proxied = await rig.connect();
    proxied.write('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await new Promise((resolve) => proxied.once('data', resolve));
    const agent = await rig.connect({
      ALPNProtocols: [tunnelProtocol],
      ...rig.authority.node('a'),
    });
    await waitFor(() => rig.gateway.status().requests >= 3 && rig.tunnels.length === 1, {
      subject: 'all requests to arrive',
      timeoutMs: 20_000,
    });
    const ends = [hanging, dawdling, proxied, agent].map((socket) => {
      socket.resume();
      return closed(socket);
    });
    const startedAt = performance.now();
    await rig.running.stop();
    // Whoever waited for a client would wait for one of these.
    expect(performance.now() - startedAt).toBeLessThan(
      0.8 * Math.min(defaultLimits.headersTimeoutMs, defaultLimits.requestTimeoutMs),
    );
    expect(await rig.running.terminated).toMatchObject({ reason: 'Stopped' });
    await Promise.all(ends);
    const isEmpty = () => {
      const { httpConnections, tunnelConnections } = rig.gateway.status();
      return httpConnections + tunnelConnections === 0;
    };
    await waitFor(isEmpty, {
      subject: 'all connections to be forgotten',
      timeoutMs: 20_000,
      describe: () => JSON.stringify(rig.gateway.status()),
    });
    expect(rig.gateway.status().isListening).toBe(false);
    await rig.running.stop();
  });

  it('lets tunnels go before it ends what is left of them, and takes no new ones meanwhile', async () => {
    const released = Promise.withResolvers<void>();
    const rig = await start({ releaseTunnels: () => released.promise });
    const agent = await rig.connect({
      ALPNProtocols: [tunnelProtocol],
      ...rig.authority.node('a'),
    });
    await waitFor(() => rig.tunnels.length === 1, {
      subject: 'the tunnel to arrive',
      timeoutMs: 20_000,
    });
    const ended = closed(agent);
    const stopping = rig.running.stop();
    await expect(rig.connect()).rejects.toThrow('ECONNREFUSED');
    const echoed = new Promise((resolve) => agent.once('data', resolve));
    rig.tunnels[0]?.socket.write('GOAWAY');
    expect(String(await echoed)).toBe('GOAWAY');
    released.resolve();
    await stopping;
    await ended;
  });

  it('names the field when its port is taken', async () => {
    const rig = await start();
    const { createGateway } = await import('../../../src/gateway/gateway.ts');
    const { silentLogger } = await import('../../../src/base/logger.ts');
    const files = { certFile: 'x', keyFile: 'x', caFile: 'x' };
    const options = {
      ...{ address: '127.0.0.1', port: rig.port, routes: [], acceptTunnel: () => {} },
      ...{ logger: silentLogger, clock: systemClock },
    };
    const { signal } = new AbortController();
    await expect(createGateway({ ...options, tlsFiles: files }).start(signal)).rejects.toThrow(
      'ENOENT',
    );
    const second = createGateway({ ...options, tlsFiles: rig.tlsFiles });
    const error: unknown = await second.start(signal).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({
      message: `Cannot listen on 127.0.0.1:${rig.port}: another process listens there`,
      fix: expect.stringContaining('spec.api.gatewayPort'),
    });
  });
});
