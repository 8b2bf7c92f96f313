import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { freePorts } from '../../support/free-ports.ts';
import { directDialsMs, patientTimeouts, thousandDialsLimitMs } from './dial-pace.ts';
import {
  type Client,
  closedAfterEach,
  connectTo,
  dialLoopback,
  established,
  exchange,
  openClient,
} from './harness.ts';

const { closers, harness, target, open } = closedAfterEach();
const toPort = (_host: string, port: number) => dialLoopback(port);
const until = (subject: string, probe: () => boolean, describe?: () => string) =>
  waitFor(probe, { subject, timeoutMs: 20_000, intervalMs: 5, ...(describe ? { describe } : {}) });
const text = (client: Client) => client.received.toString('latin1');
const openDescriptors = () => readdirSync('/proc/self/fd').length;

describe('answers', () => {
  it('case 10: 200 alone, then the echo, fragmented header and pipelined bytes included', async () => {
    const echo = await target((socket) => socket.pipe(socket));
    const { socketPath } = await harness(toPort);
    const client = await open(socketPath, '');
    client.socket.setNoDelay(true);
    for (const byte of connectTo('edge-1', echo.port)) {
      client.socket.write(byte);
      await turnOfTheLoop();
    }
    await until(
      '200',
      () => text(client) === established,
      () => text(client),
    );
    const pipelining = await open(socketPath, `${connectTo('edge-1', echo.port)}early`);
    await until(
      'the echo',
      () => text(pipelining) === `${established}early`,
      () => text(pipelining),
    );
  });

  it.each([
    ['GET / HTTP/1.1\r\n\r\n', 'HTTP/1.1 405 only CONNECT is served here, not GET\r\n'],
    ['\x16\x03\x01garbage', 'HTTP/1.1 400 this is not an HTTP CONNECT request\r\n'],
    [`CONNECT a:1 HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`, 'HTTP/1.1 431 '],
    ['CONNECT a:1 HTTP/1.1\r\n', 'HTTP/1.1 408 no complete CONNECT request within 0.2 s\r\n'],
    [connectTo('edge-7', 1), 'HTTP/1.1 503 node edge-7 has no tunnel\r\n'],
  ])('case 10: %j with a reason, and closes', async (request, answer) => {
    const reason = 'node edge-7 has no tunnel';
    // Only who is to be late has little time: on a busy machine 0.2 s pass before the others have said anything.
    const headerMs = answer.includes(' 408 ') ? 200 : 20_000;
    const { socketPath, tunnel } = await harness(() => ({ type: 'refuse', status: 503, reason }), {
      timeouts: { headerMs },
    });
    const client = await open(socketPath, request);
    await until(
      'the end',
      () => client.hasEnded,
      () => text(client),
    );
    expect(text(client).startsWith(answer), text(client)).toBe(true);
    await until('no stream', () => tunnel.status().activeStreams === 0);
    expect(tunnel.status()).toMatchObject({ refusedStreams: 1, acceptedStreams: 0 });
  });

  it('502 when the target refuses and 504 when it never answers', async () => {
    const [closedPort = 0] = await freePorts(1);
    const refusing = await harness(toPort);
    const refused = await open(refusing.socketPath, connectTo('a', closedPort));
    await until('the end', () => refused.hasEnded);
    expect(text(refused)).toMatch(
      /^HTTP\/1.1 502 target \d+ refuses connections on 127.0.0.1:\d+\r\n/,
    );
    const { socketPath, tunnel } = await harness(toPort, {
      timeouts: { dialMs: 200 },
      // A socket that never connects, as with a host that drops packets.
      dial: () => new Socket(),
    });
    const dropped = await open(socketPath, connectTo('a', 1));
    await until('the end', () => dropped.hasEnded);
    expect(text(dropped)).toMatch(/^HTTP\/1.1 504 target 1 did not answer within 0.2 s\r\n/);
    expect(tunnel.status().lastRefusal).toMatchObject({ target: 'a:1', status: 504 });
  });

  it('503 above the stream limit', async () => {
    const silent = await target(() => {});
    const { socketPath } = await harness(toPort, { maxStreams: 1 });
    const first = await open(socketPath, connectTo('a', silent.port));
    await until('200', () => text(first) === established);
    const second = await open(socketPath, connectTo('a', silent.port));
    await until('the end', () => second.hasEnded);
    expect(text(second)).toMatch(/^HTTP\/1.1 503 tunnel is busy: 1 streams are open\r\n/);
  });
});

describe('streams', () => {
  it("holds a talkative target's bytes until the client has spoken", async () => {
    const received: Buffer[] = [];
    const talkative = await target((socket) => {
      socket.write('SSH-2.0\r\n');
      socket.on('data', (chunk: Buffer) => received.push(chunk));
    });
    const { socketPath, tunnel } = await harness(toPort);
    const client = await open(socketPath, connectTo('a', talkative.port));
    await until('the greeting to reach the tunnel', () => tunnel.status().bytesFromTargets === 9);
    // What was sent to the client before is still on its way for a moment; the greeting is not.
    await until('200', () => text(client).startsWith(established));
    for (let turn = 0; turn < 3; turn += 1) await turnOfTheLoop();
    expect(text(client)).toBe(established);
    client.socket.write('x');
    await until(
      'the greeting',
      () => text(client) === `${established}SSH-2.0\r\n`,
      () => text(client),
    );
    expect(Buffer.concat(received).toString()).toBe('x');
  });

  it('passes a half-close in both directions', async () => {
    const target1 = await target((socket) => {
      let length = 0;
      socket.on('data', (chunk: Buffer) => {
        length += chunk.length;
      });
      socket.on('end', () => socket.end(`got ${length} then FIN`));
    });
    const { socketPath, tunnel } = await harness(toPort);
    const client = await open(socketPath, connectTo('a', target1.port));
    await until('200', () => text(client) === established);
    client.socket.end(Buffer.alloc(100_000));
    await until(
      'the late answer',
      () => client.hasEnded,
      () => text(client),
    );
    expect(text(client)).toBe(`${established}got 100000 then FIN`);

    let late = '';
    const target2 = await target((socket) => {
      socket.end('bye');
      socket.on('data', (chunk: Buffer) => {
        late += chunk.toString();
      });
    });
    const other = await open(socketPath, `${connectTo('a', target2.port)}hello `);
    await until('FIN', () => other.hasEnded);
    expect(text(other)).toBe(`${established}bye`);
    other.socket.end('still writable');
    await until(
      'late bytes',
      () => late === 'hello still writable',
      () => late,
    );
    await until('no stream', () => tunnel.status().activeStreams === 0);
  });

  it('turns RST of the target into a close, and a close of the client into RST', async () => {
    const resetting = await target((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const { socketPath, tunnel } = await harness(toPort);
    const client = await open(socketPath, `${connectTo('a', resetting.port)}x`);
    await until('close', () => client.hasEnded || client.socket.destroyed);

    const errors: unknown[] = [];
    const patient = await target((socket) => {
      socket.write('y');
      socket.resume();
      socket.on('error', (error) => errors.push(error));
    });
    const breaker = await open(socketPath, connectTo('a', patient.port));
    await until('200', () => text(breaker) === established);
    breaker.socket.pause().write('x');
    await until('y to be forwarded', () => tunnel.status().bytesToTargets >= 2);
    await until('y to wait unread', () => breaker.socket.readableLength > 0);
    const [socket] = patient.sockets;
    breaker.socket.resume();
    await until('y', () => text(breaker).endsWith('y'));
    socket?.write(Buffer.alloc(8 * 1024 * 1024));
    breaker.socket.pause();
    await until('unread bytes', () => breaker.socket.readableLength > 0);
    breaker.socket.destroy();
    await until('RST at the target', () => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) });
    await until('no stream', () => tunnel.status().activeStreams === 0);
  });

  it('delivers what a client sent before it closed', async () => {
    let length = 0;
    const slow = await target((socket) => {
      socket.on('data', (chunk: Buffer) => {
        length += chunk.length;
      });
      socket.pause();
      setImmediate(() => socket.resume());
    });
    const { socketPath, tunnel } = await harness(toPort);
    const client = await open(socketPath, connectTo('a', slow.port));
    await until('200', () => text(client) === established);
    client.socket.write(Buffer.alloc(3_000_000), () => client.socket.destroy());
    await until(
      'every byte',
      () => length === 3_000_000,
      () => `${length}`,
    );
    await until('no stream', () => tunnel.status().activeStreams === 0);
  });

  it('finds a client that half-closed first and went away later', async () => {
    const patient = await target((socket) => socket.resume());
    const { socketPath, tunnel } = await harness(toPort, { timeouts: { halfClosedProbeMs: 50 } });
    const client = await open(socketPath, `${connectTo('a', patient.port)}x`);
    await until('200', () => text(client) === established);
    client.socket.end();
    await until('FIN at the target', () => {
      const [accepted] = patient.sockets;
      return accepted?.readableEnded === true;
    });
    expect(tunnel.status().activeStreams).toBe(1);
    client.socket.destroy();
    await until('no stream', () => tunnel.status().activeStreams === 0);
    const [socket] = patient.sockets;
    await until('the target to see the reset', () => {
      socket?.write('anyone there?');
      return socket?.destroyed === true;
    });
  });

  it('applies backpressure: a stalled reader does not fill memory, others go on', async () => {
    const flood = await target((socket) => {
      const chunk = Buffer.alloc(64 * 1024);
      const pump = () => {
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.on('drain', pump);
      pump();
    });
    const echo = await target((socket) => socket.pipe(socket));
    const { socketPath, tunnel } = await harness(toPort);
    const stalled = await open(socketPath, `${connectTo('a', flood.port)}x`);
    await until('the flood', () => stalled.received.length > 1_000_000);
    stalled.socket.pause();
    let last = -1;
    await until('it to stop', () => {
      const now = tunnel.status().bytesFromTargets;
      const hasStopped = now === last;
      last = now;
      return hasStopped;
    });
    const client = await open(socketPath, `${connectTo('a', echo.port)}ping`);
    await until('the echo', () => text(client) === `${established}ping`);
    expect(last - stalled.received.length).toBeLessThan(4 * 1024 * 1024);
  });

  it('carries 64 MiB unchanged both ways and counts them', async () => {
    const echo = await target((socket) => socket.pipe(socket));
    const { socketPath, tunnel } = await harness(toPort);
    const client = await open(socketPath, '');
    const { sent, received } = await exchange(client, connectTo('a', echo.port), 64);
    expect(received).toBe(sent);
    await until('no stream', () => tunnel.status().activeStreams === 0);
    expect(tunnel.status()).toMatchObject({ bytesToTargets: 64 << 20, bytesFromTargets: 64 << 20 });
  });

  it('leaks nothing after 2000 aborted streams', async () => {
    const rude = await target((socket) => {
      socket.write('data nobody reads');
      socket.on('end', () => socket.end()).resume();
    });
    const { socketPath, tunnel } = await harness(toPort);
    const before = openDescriptors();
    for (let round = 0; round < 20; round += 1) {
      const clients = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          openClient(socketPath, i % 3 === 0 ? 'CONNECT a' : `${connectTo('a', rude.port)}x`),
        ),
      );
      for (const [i, client] of clients.entries()) {
        if (i % 2 === 0) client.socket.destroy();
        else client.socket.once('data', () => client.socket.destroy());
      }
      await until('the round to end', () =>
        clients.every((c, i) => c.socket.destroyed || i % 3 === 0),
      );
      for (const client of clients) client.socket.destroy();
    }
    await until(
      'no stream',
      () => tunnel.status().activeStreams === 0,
      () => JSON.stringify(tunnel.status()),
    );
    await until(
      'no connection',
      () => rude.sockets.size === 0,
      () => `${rude.sockets.size}`,
    );
    await until(
      'no descriptor',
      () => openDescriptors() <= before + 1,
      () => `${openDescriptors()} open, ${before} before`,
    );
  });

  it('answers 1000 dials at once', async () => {
    const echo = await target((socket) => socket.pipe(socket));
    const { socketPath } = await harness(toPort, { timeouts: patientTimeouts });
    const directMs = await directDialsMs();
    const startedAt = performance.now();
    const clients = await Promise.all(
      Array.from({ length: 1000 }, () => openClient(socketPath, `${connectTo('a', echo.port)}hi`)),
    );
    closers.push(() => {
      for (const client of clients) client.socket.destroy();
    });
    const missing = () => clients.filter((client) => text(client) !== `${established}hi`).length;
    await waitFor(() => missing() === 0, {
      ...{ subject: 'every echo', timeoutMs: 120_000, intervalMs: 5 },
      describe: () => `${missing()} missing`,
    });
    expect(performance.now() - startedAt).toBeLessThan(await thousandDialsLimitMs(directMs));
  });
});
