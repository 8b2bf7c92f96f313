import { Socket } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/time.ts';
import { defaultTimeouts } from '../../../src/tunnel/answer-connect.ts';
import { freePorts } from '../../support/free-ports.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { directDialsMs, patientTimeouts, thousandDialsLimitMs } from './dial-pace.ts';
import { connectTo, established, exchange, openClient } from './harness.ts';

const rig = tunnelRig();
/** An address of a pod of node edge-1. */
const pod = '10.244.1.5';

async function connectedPair(options: Parameters<typeof rig.agent>[2] = {}) {
  const controller = await rig.controller();
  const agent = await rig.agent('edge-1', [controller.address], options);
  await untilConnected(controller, 'edge-1');
  return { controller, agent };
}

describe('an agent', () => {
  it('serves its kubelet by node name and its pods by address', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const { controller, agent } = await connectedPair({ kubeletPort: echo.port });
    for (const host of ['edge-1', pod]) {
      const client = await rig.open(controller.socketPath, `${connectTo(host, echo.port)}early`);
      await until('the echo', () => text(client) === `${established}early`, {
        describe: () => text(client),
      });
      client.socket.destroy();
    }
    await untilNoStream(controller);
    expect(controller.tunnel.status()).toMatchObject({
      acceptedStreams: 2,
      bytesToTargets: 10,
      bytesFromTargets: 10,
      nodes: [{ nodeName: 'edge-1', sessions: 1, streams: 0, reconnects: 0 }],
    });
    expect(agent.agent.status()).toMatchObject({
      acceptedStreams: 2,
      refusedStreams: 0,
      controllers: [{ address: controller.address, isConnected: true, streams: 0 }],
    });
    await until('a round trip', () => controller.sessions.status()[0]?.rttMs !== undefined);
  });

  it.each([
    ['edge-1', 2379, '403 port 2379 of node edge-1 is neither its kubelet (10250) nor'],
    ['10.244.1.1', 22, "403 10.244.1.1:22 is the pod network's own address"],
    ['edge-7', 10250, '503 node edge-7 has no tunnel: never connected to this controller'],
  ])('is not asked for %s:%i', async (host, port, reason) => {
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, connectTo(host, port));
    await until('the end', () => client.hasEnded);
    expect(text(client)).toContain(`HTTP/1.1 ${reason}`);
    await untilNoStream(controller);
  });

  it('case 7: passes on that a target refuses, never answers, or never speaks', async () => {
    const [closedPort = 0] = await freePorts(1);
    const silent = await rig.target(() => {});
    const { controller } = await connectedPair();
    const refused = await rig.open(controller.socketPath, connectTo(pod, closedPort));
    await until('the end', () => refused.hasEnded);
    expect(text(refused)).toMatch(/^HTTP\/1.1 502 pod \S+ refuses connections on /);
    const hasty = await connectedPair({ dialMs: 200, dial: () => new Socket() });
    const dropped = await rig.open(hasty.controller.socketPath, connectTo(pod, 1));
    await until('the end', () => dropped.hasEnded);
    expect(text(dropped)).toMatch(/^HTTP\/1.1 504 pod 10.244.1.5:1 did not answer within 0.2 s/);
    const quiet = await rig.open(controller.socketPath, `${connectTo(pod, silent.port)}x`);
    await until('200', () => text(quiet) === established);
    await until('the byte', () => [...silent.sockets].some(({ bytesRead }) => bytesRead === 1));
    quiet.socket.destroy();
    await untilNoStream(controller);
  });

  it('case 7: answers within 8 s for a target that swallows packets', async () => {
    const { controller } = await connectedPair({ dial: () => new Socket() });
    const client = await rig.open(controller.socketPath, connectTo(pod, 80));
    await until('the end', () => client.hasEnded);
    // The agent's own words, so it was quicker than the controller, which waits no longer than this for any answer.
    expect(text(client)).toMatch(/^HTTP\/1.1 504 pod 10.244.1.5:80 did not answer within 5 s/);
    expect(defaultTimeouts.answerMs).toBeLessThan(8_000);
    await untilNoStream(controller);
  });

  it('case 6: passes half-closes both ways', async () => {
    const polite = await rig.target((socket) => {
      let length = 0;
      socket.on('data', (chunk: Buffer) => {
        length += chunk.length;
      });
      socket.on('end', () => socket.end(`got ${length} then FIN`));
    });
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, connectTo(pod, polite.port));
    await until('200', () => text(client) === established);
    client.socket.end(Buffer.alloc(1_000_000));
    await until('the late answer', () => client.hasEnded);
    expect(text(client)).toBe(`${established}got 1000000 then FIN`);

    let late = '';
    const first = await rig.target((socket) => {
      socket.end('bye');
      socket.on('data', (chunk: Buffer) => {
        late += chunk.toString();
      });
    });
    const other = await rig.open(controller.socketPath, `${connectTo(pod, first.port)}hello `);
    await until('FIN', () => other.hasEnded);
    expect(text(other)).toBe(`${established}bye`);
    other.socket.end('still writable');
    await until('late bytes', () => late === 'hello still writable');
    await untilNoStream(controller);
  });

  it('case 6: passes RST both ways', async () => {
    const resetting = await rig.target((socket) =>
      socket.once('data', () => socket.resetAndDestroy()),
    );
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, `${connectTo(pod, resetting.port)}x`);
    await until('close', () => client.hasEnded || client.socket.destroyed);

    const errors: unknown[] = [];
    const flooding = await rig.target((socket) => {
      socket.on('error', (error) => errors.push(error));
      socket.resume().write(Buffer.alloc(8 * 1024 * 1024));
    });
    const breaker = await rig.open(controller.socketPath, connectTo(pod, flooding.port));
    await until('200', () => text(breaker) === established);
    breaker.socket.pause().write('x');
    await until('unread bytes', () => breaker.socket.readableLength > 0);
    breaker.socket.destroy();
    await until('RST at the target', () => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) });
    await untilNoStream(controller);
  });

  it('delivers to a slow target what a client sent before it closed', async () => {
    let length = 0;
    const slow = await rig.target((socket) => {
      socket.pause().on('data', (chunk: Buffer) => {
        length += chunk.length;
      });
      socket.once('readable', () => setImmediate(() => socket.resume()));
      socket.once('end', () => socket.end());
    });
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, connectTo(pod, slow.port));
    await until('200', () => text(client) === established);
    client.socket.write(Buffer.alloc(3_000_000), () => client.socket.destroy());
    await until('every byte', () => length === 3_000_000, { describe: () => `${length}` });
    await untilNoStream(controller);
  });

  it('delivers to a slow client what a target sent before it refused the rest', async () => {
    const answer = Buffer.alloc(200_000, 'a');
    const hasty = await rig.target((socket) =>
      socket.once('data', () => socket.end(answer).destroySoon()),
    );
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, connectTo(pod, hasty.port));
    await until('200', () => text(client) === established);
    client.socket.pause().write('x');
    await until('the target to be gone', () => hasty.sockets.size === 0);
    // It is not wanted any more, and the target is told so: RST.
    client.socket.write(Buffer.alloc(100_000));
    await until('the reader to be slow', () => client.socket.readableLength > 0);
    client.socket.resume();
    await until(
      'the whole answer',
      () => client.received.length === answer.length + established.length,
      {
        describe: () => `${client.received.length}`,
      },
    );
    client.socket.destroy();
    await untilNoStream(controller);
  });

  it('case 11: holds what a target says first until the client has spoken', async () => {
    const talkative = await rig.target((socket) => socket.write('SSH-2.0\r\n'));
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, connectTo(pod, talkative.port));
    await until('the greeting', () => controller.tunnel.status().bytesFromTargets === 9);
    // What was sent to the client before is still on its way for a moment; the greeting is not.
    await until('200', () => text(client).startsWith(established));
    for (let turn = 0; turn < 3; turn += 1) await turnOfTheLoop();
    expect(text(client)).toBe(established);
    client.socket.write('x');
    await until('the greeting', () => text(client) === `${established}SSH-2.0\r\n`);
  });

  it('case 8: gives up dials whose client goes away, and drops a late 200', async () => {
    const dialled: Socket[] = [];
    const { controller } = await connectedPair({
      dial: () => {
        const socket = new Socket();
        dialled.push(socket);
        return socket;
      },
    });
    const client = await rig.open(controller.socketPath, connectTo(pod, 80));
    await until('the dial', () => dialled.length === 1);
    expect(controller.metrics.read().dials.pending).toBe(1);
    client.socket.destroy();
    await until('the dial to be given up', () => dialled[0]?.destroyed === true);
    await untilNoStream(controller);
    expect(controller.metrics.read().dials).toMatchObject({
      pending: 0,
      series: [{ kind: 'agent', result: 'client-gone', count: 1 }],
    });
    expect(controller.sessions.isConnected('edge-1')).toBe(true);
  });

  it('case 9: 2000 aborted streams in a burst leave its session and nothing else', async () => {
    const rude = await rig.target((socket) => {
      socket.write('data nobody reads');
      socket.on('end', () => socket.end()).resume();
    });
    const { controller, agent } = await connectedPair();
    for (let round = 0; round < 8; round += 1) {
      const clients = await Promise.all(
        Array.from({ length: 250 }, () =>
          openClient(controller.socketPath, `${connectTo(pod, rude.port)}x`),
        ),
      );
      for (const [i, { socket }] of clients.entries()) {
        if (i % 2 === 0) socket.destroy();
        else socket.once('data', () => socket.destroy());
      }
      await until('the round', () => clients.every(({ socket }) => socket.destroyed), {
        timeoutMs: 60_000,
      });
    }
    await untilNoStream(controller);
    await until('no connection', () => rude.sockets.size === 0);
    const echo = await rig.target((socket) => socket.pipe(socket));
    const client = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
    await until('the echo', () => text(client) === `${established}hi`);
    expect(agent.agent.status().controllers[0]).toMatchObject({ isConnected: true, reconnects: 0 });
  });

  it('case 16: 1000 dials at once are all answered', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller({ server: { timeouts: patientTimeouts } });
    await rig.agent('edge-1', [controller.address], { dialMs: patientTimeouts.dialMs });
    await untilConnected(controller, 'edge-1');
    const directMs = await directDialsMs();
    const startedAt = performance.now();
    const clients = await Promise.all(
      Array.from({ length: 1000 }, () =>
        rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`),
      ),
    );
    const missing = () => clients.filter((client) => text(client) !== `${established}hi`).length;
    await until('every echo', () => missing() === 0, {
      describe: () => `${missing()} missing`,
      timeoutMs: 120_000,
    });
    expect(performance.now() - startedAt).toBeLessThan(await thousandDialsLimitMs(directMs));
  });

  it('carries 32 MiB unchanged both ways and counts them', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const { controller } = await connectedPair();
    const client = await rig.open(controller.socketPath, '');
    const { sent, received } = await exchange(client, connectTo(pod, echo.port), 32);
    expect(received).toBe(sent);
    await untilNoStream(controller);
    const bytes = 32 * 1024 * 1024;
    expect(controller.tunnel.status()).toMatchObject({
      bytesToTargets: bytes,
      bytesFromTargets: bytes,
    });
    const [node] = controller.sessions.status();
    expect(node?.bytesToNode).toBeGreaterThan(bytes);
    expect(node?.lastSeen).toBeGreaterThan(systemClock.now() - 60_000);
  });

  it('serves whom the gateway read a CONNECT from', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const { controller } = await connectedPair();
    const gateway = await rig.target((socket) =>
      controller.tunnel.serve(socket.pause(), { host: pod, port: echo.port }),
    );
    const socket = new Socket().connect(gateway.port, '127.0.0.1');
    rig.closers.push(() => socket.destroy());
    socket.write('hi');
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    await until('the echo', () => received === `${established}hi`);
  });
});
