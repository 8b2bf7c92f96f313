import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { defaultLimits } from '../../../src/gateway/connections.ts';
import { quickest } from '../../support/quickest.ts';
import { closed, type GatewayRig, type RigOptions, readToEnd, startGateway } from './rig.ts';

const rigs: GatewayRig[] = [];
const sockets: Socket[] = [];

async function start(options: RigOptions = {}): Promise<GatewayRig> {
  const route = {
    prefix: '/',
    handle: (_request: unknown, response: { end(text: string): void }) => response.end('served'),
  };
  const rig = await startGateway({ routes: [route], ...options });
  rigs.push(rig);
  return rig;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const rig of rigs.splice(0)) await rig.stop();
});

/** A bare TCP connection from an address of loopback. */
async function dial(rig: GatewayRig, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port: rig.port, localAddress });
  sockets.push(socket);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

async function isServed(rig: GatewayRig, localAddress = '127.0.0.1'): Promise<boolean> {
  const socket = await dial(rig, localAddress);
  const tls = connectTls({ socket, rejectUnauthorized: false });
  tls.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  return (await readToEnd(tls)).endsWith('served');
}

async function waitForEmpty(rig: GatewayRig): Promise<void> {
  await waitFor(
    () => {
      const { httpConnections, handshaking, waiting, tunnelConnections } = rig.gateway.status();
      return httpConnections + handshaking + waiting + tunnelConnections === 0;
    },
    {
      subject: 'every connection to be forgotten',
      timeoutMs: 60_000,
      describe: () => JSON.stringify(rig.gateway.status()),
    },
  );
}

describe('before the handshake is done', () => {
  it.each([
    // The others are not late: a busy machine takes its time for the handshake of who comes after them, too.
    ['text', 'GET / HTTP/1.1\r\n\r\n', 30_000],
    ['random bytes', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251)), 30_000],
    [
      'the beginning of a record that never ends',
      Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00, 0x01]),
      2_000,
    ],
  ])('%s closes its own connection only', async (_what, bytes, handshakeTimeoutMs) => {
    const rig = await start({ limits: { handshakeTimeoutMs } });
    const socket = await dial(rig);
    socket.resume();
    socket.write(bytes);
    await closed(socket);
    expect(rig.gateway.status().failedHandshakes).toBe(1);
    expect(await isServed(rig)).toBe(true);
    await waitForEmpty(rig);
  });

  it('a client that says nothing is closed in time, and counts no more', async () => {
    const rig = await start({ limits: { handshakeTimeoutMs: 300 } });
    const startedAt = performance.now();
    const silent = await Promise.all(Array.from({ length: 20 }, () => dial(rig)));
    await Promise.all(silent.map((socket) => closed(socket.resume())));
    expect(performance.now() - startedAt).toBeLessThan(0.8 * defaultLimits.handshakeTimeoutMs);
    await waitForEmpty(rig);
  });

  it('many that dawdle at one address do not keep others out', async () => {
    const rig = await start({ limits: { handshakeTimeoutMs: 120_000 } });
    for (let count = 0; count < 200; count += 1) await dial(rig, '127.0.0.66');
    await waitFor(() => rig.gateway.status().waiting > 100, {
      subject: 'connections to wait',
      timeoutMs: 20_000,
    });
    expect(rig.gateway.status().handshaking).toBe(defaultLimits.handshakesPerAddress);
    const serviceMs = async () => {
      const startedAt = performance.now();
      expect(await isServed(rig)).toBe(true);
      return performance.now() - startedAt;
    };
    expect(await quickest(serviceMs, 1_000)).toBeLessThan(1_000);
    for (const socket of sockets.splice(0)) socket.destroy();
    await waitForEmpty(rig);
  });

  it('those that wait get their turn, with what they have said meanwhile', async () => {
    const rig = await start({ limits: { handshakesPerAddress: 1, handshakeTimeoutMs: 3_000 } });
    const dawdler = await dial(rig);
    dawdler.resume();
    const waiting = [isServed(rig), isServed(rig), isServed(rig)];
    expect(await Promise.all(waiting)).toEqual([true, true, true]);
    expect(dawdler.destroyed || dawdler.readableEnded).toBe(true);
  });

  it('more than may wait are closed, and it is logged once', async () => {
    const limits = { handshakesPerAddress: 1, waitingPerAddress: 3, handshakeTimeoutMs: 120_000 };
    const rig = await start({ limits });
    const all = [];
    for (let count = 0; count < 10; count += 1) all.push(await dial(rig));
    const gone = all.map((socket) => closed(socket.resume()).then(() => socket));
    await Promise.all(gone.slice(4));
    expect(rig.gateway.status()).toMatchObject({ waiting: 3, refusedConnections: 6 });
    expect(rig.log.filter((line) => line.includes('too many wait for a handshake'))).toHaveLength(
      1,
    );
  });

  it('a thousand at once are all served', async () => {
    const patientMs = 120_000;
    const rig = await start({
      limits: {
        ...{ handshakeTimeoutMs: patientMs, headersTimeoutMs: patientMs },
        ...{ requestTimeoutMs: patientMs, idleTimeoutMs: patientMs },
      },
    });
    const outcomes = await Promise.all(Array.from({ length: 1000 }, () => isServed(rig)));
    expect(outcomes.filter(Boolean)).toHaveLength(1000);
    await waitForEmpty(rig);
    expect(rig.gateway.status()).toMatchObject({ refusedConnections: 0, failedHandshakes: 0 });
  });

  it('five hundred that vanish in the middle leave nothing behind', async () => {
    const rig = await start();
    for (let count = 0; count < 500; count += 1) {
      const socket = await dial(rig);
      if (count % 2 === 0) socket.write(Buffer.from([0x16, 0x03, 0x01]));
      socket.resetAndDestroy();
    }
    await waitForEmpty(rig);
    expect(await isServed(rig)).toBe(true);
  });
});

describe('after the handshake', () => {
  /** Sends a text and returns everything that comes back until the end. */
  async function say(rig: GatewayRig, text: string): Promise<string> {
    const client = await rig.connect();
    const answer = readToEnd(client);
    client.write(text);
    return answer;
  }

  it('a header that is too long, or has too many lines, is answered and closed', async () => {
    const rig = await start();
    const long = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`;
    expect(await say(rig, long)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await say(rig, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    expect(await say(rig, 'garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await say(rig, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await isServed(rig)).toBe(true);
    await waitForEmpty(rig);
  });

  it('one byte of a header now and then is closed in time', async () => {
    const rig = await start({ limits: { headersTimeoutMs: 500 } });
    const client = await rig.connect();
    const answer = readToEnd(client);
    const drip = setInterval(() => client.write('a'), 50);
    client.write('GET / HTTP/1.1\r\nX: ');
    const startedAt = performance.now();
    expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
    expect(performance.now() - startedAt).toBeLessThan(0.8 * defaultLimits.headersTimeoutMs);
    await waitForEmpty(rig);
  });

  it('a body that never ends is closed in time, whatever the route waits for', async () => {
    const rig = await start({
      routes: [{ prefix: '/', handle: (request) => void request.resume() }],
      limits: { headersTimeoutMs: 500, requestTimeoutMs: 500 },
    });
    const client = await rig.connect();
    client.resume();
    client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n');
    const drip = setInterval(() => client.write('a'), 50);
    await closed(client);
    clearInterval(drip);
    await waitForEmpty(rig);
  });

  it('a client that takes nothing of its answer is cut off', async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const rig = await start({
      routes: [
        {
          prefix: '/',
          handle: (_request, response) => {
            for (let count = 0; count < 32; count += 1) response.write(chunk);
            response.end();
          },
        },
      ],
      limits: { stallTimeoutMs: 300 },
    });
    const client = await rig.connect();
    client.pause();
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await waitFor(() => rig.gateway.status().requests === 1, {
      subject: 'a request',
      timeoutMs: 20_000,
    });
    await waitForEmpty(rig);
  });

  it('one peer may not have all connections: others still come in', async () => {
    const rig = await start({ limits: { httpConnectionsPerPeer: 5, httpConnections: 8 } });
    const open: TLSSocket[] = [];
    for (let count = 0; count < 5; count += 1) open.push(await rig.connect());
    expect(await isServed(rig)).toBe(false);
    expect(await isServed(rig, '127.0.0.2')).toBe(true);
    const node = await rig.connect(rig.authority.node('edge-1'));
    node.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(String(await new Promise((resolve) => node.once('data', resolve)))).toContain('served');
    open[0]?.destroy();
    await waitFor(() => isServed(rig), { subject: 'room for one more', timeoutMs: 20_000 });
  });

  it('a connection without a request is closed when it has been idle', async () => {
    const rig = await start({ limits: { headersTimeoutMs: 500, idleTimeoutMs: 300 } });
    const client = await rig.connect();
    client.resume();
    await closed(client);
    await waitForEmpty(rig);
  });
});
