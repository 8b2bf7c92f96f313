import { rename, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { freePorts } from '../../support/free-ports.ts';
import { quickest } from '../../support/quickest.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { connectTo, established } from './harness.ts';
import { startController } from './tunnel-peers.ts';

const rig = tunnelRig();
const pod = '10.244.1.5';
/** Shorter than the carrier's own times, and longer than a busy machine keeps anybody waiting. */
const quick = { pingIntervalMs: 500, deadAfterMs: 3_000 };
const noDelay = { random: () => 0.01 };

async function echoThrough(socketPath: string, port: number, host = pod) {
  const client = await rig.open(socketPath, `${connectTo(host, port)}hi`);
  await until('the echo', () => text(client) === `${established}hi`, {
    describe: () => text(client),
  });
  return {
    client,
    again: async () => {
      const before = client.received.length;
      client.socket.write('more');
      await until('the next echo', () => client.received.length === before + 4);
    },
  };
}

/** As the kubelet rotates its certificate. */
async function replace(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content);
  await rename(`${file}.new`, file);
}

async function answerOf(socketPath: string, host: string, port: number): Promise<string> {
  const client = await rig.open(socketPath, connectTo(host, port));
  await until('the end', () => client.hasEnded);
  return text(client).split('\r\n', 1)[0] ?? '';
}

describe('a session', () => {
  it('case 2: whose line is cut silently is given up by both sides; then dials fail at once', async () => {
    const controller = await rig.controller({
      sessions: { carrier: quick },
      server: { timeouts: { answerMs: 1_000 } },
    });
    const line = await rig.proxy({ target: controller.port });
    const agent = await rig.agent('edge-1', [line.address], { carrier: quick, ...noDelay });
    await untilConnected(controller, 'edge-1');
    const silent = await rig.target(() => {});
    const client = await rig.open(controller.socketPath, `${connectTo(pod, silent.port)}x`);
    await until('200', () => text(client) === established);
    line.freeze();
    expect(await answerOf(controller.socketPath, pod, silent.port)).toMatch(
      /^HTTP\/1.1 504 10.244.1.5:\d+ did not answer through the tunnel of node edge-1 within 1 s$/,
    );
    await until('the server to notice', () => !controller.sessions.isConnected('edge-1'));
    await until(
      'the agent to notice',
      () => agent.agent.status().controllers[0]?.isConnected === false,
    );
    await until('the end of the stream', () => client.hasEnded || client.socket.destroyed);
    await until('the end at the target', () => silent.sockets.size === 0);
    // The quickest: the others show how busy this machine is.
    const refusalMs = async () => {
      const startedAt = performance.now();
      expect(await answerOf(controller.socketPath, 'edge-1', 10250)).toMatch(
        /^HTTP\/1.1 503 node edge-1 has no tunnel: last seen \d+ s ago$/,
      );
      return performance.now() - startedAt;
    };
    expect(await quickest(refusalMs, 50)).toBeLessThan(50);
    expect(controller.sessions.status()[0]).toMatchObject({
      sessions: 0,
      lastError: 'no frame for 3 s',
    });
    line.cut();
    line.thaw();
    line.heal();
    await untilConnected(controller, 'edge-1');
    expect(controller.metrics.read().reconnects).toEqual(new Map([['timeout', 1]]));
  });

  it('case 3: comes back to a controller that restarts, each agent in its own time and once', async () => {
    const count = 100;
    const [port = 0] = await freePorts(1);
    const first = await startController(rig.cluster, { port });
    const { address } = first;
    const agents = await Promise.all(
      Array.from({ length: count }, (_, i) => rig.agent(`edge-${i}`, [address])),
    );
    const connected = (controller: typeof first) =>
      controller.sessions.status().filter(({ sessions }) => sessions > 0);
    await until('all agents', () => connected(first).length === count, {
      timeoutMs: 60_000,
      describe: () => `${connected(first).length}`,
    });
    await first.close();
    await until('the agents to notice', () =>
      agents.every(({ agent }) => agent.status().controllers[0]?.isConnected === false),
    );
    const second = await rig.controller({ port });
    await until('all agents', () => connected(second).length === count, {
      timeoutMs: 60_000,
      describe: () => `${connected(second).length}`,
    });
    const times = connected(second).map(({ connectedSince }) => connectedSince ?? 0);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(100);
    expect(second.metrics.read().duplicateSessions).toBe(0);
    expect(connected(second).every(({ sessions }) => sessions === 1)).toBe(true);
  });

  it('case 4: that is drained keeps its streams until the end, and takes no new ones', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const draining = await rig.controller();
    const other = await rig.controller();
    const agent = await rig.agent('edge-1', [draining.address, other.address], {
      drainSpreadMs: 10,
    });
    await untilConnected(draining, 'edge-1');
    await untilConnected(other, 'edge-1');
    const stream = await echoThrough(draining.socketPath, echo.port);
    draining.sessions.drain();
    await until('the agent to leave', () => {
      const [left, kept] = agent.agent.status().controllers;
      return left?.isConnected === false && kept?.isConnected === true;
    });
    expect(await answerOf(draining.socketPath, pod, echo.port)).toBe(
      'HTTP/1.1 503 this controller is stopping',
    );
    await stream.again();
    await echoThrough(other.socketPath, echo.port);
    draining.sessions.close();
    await until('the end', () => stream.client.hasEnded || stream.client.socket.destroyed);
  });

  it('case 4: of a controller that stops ends without an error at the agent, which looks elsewhere', async () => {
    const controller = await rig.controller();
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const { agent } = await rig.agent('edge-1', [controller.address], {
      logger: { ...silentLogger, warn },
      // Not before the release is over, which takes one round trip.
      ...{ random: () => 0.99, drainSpreadMs: 5_000 },
    });
    await untilConnected(controller, 'edge-1');
    await controller.sessions.release();
    expect(controller.sessions.status()[0]).toMatchObject({ sessions: 0 });
    expect(controller.sessions.status()[0]).not.toHaveProperty('lastError');
    // The listener is still there: the next session is welcome.
    await until('the next session', () => agent.status().controllers[0]?.reconnects === 1);
    expect(agent.status().controllers[0]?.lastError).toBe('the controller asked to reconnect');
    expect(warnings).toEqual([]);
  });

  it('case 4: of a controller that stops does not wait for an agent that says nothing', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    const line = await rig.proxy({ target: controller.port });
    await rig.agent('edge-1', [line.address]);
    const late = { random: () => 0.99, drainSpreadMs: 60_000 };
    await rig.agent('edge-2', [controller.address], late);
    await untilConnected(controller, 'edge-1', 'edge-2');
    const open = await echoThrough(controller.socketPath, echo.port, '10.244.2.5');
    line.freeze();
    const startedAt = performance.now();
    await controller.sessions.release();
    // Far less than the 45 s after which a session counts as dead.
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    expect(controller.sessions.status().map(({ sessions }) => sessions)).toEqual([0, 0]);
    await until('the end', () => open.client.hasEnded || open.client.socket.destroyed);
  });

  it('case 4: that was replaced ends at its deadline, whatever its streams do', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller({ sessions: { drainMs: 3_000 } });
    const agent = await rig.agent('edge-1', [controller.address], { credentialsPollMs: 20 });
    await untilConnected(controller, 'edge-1');
    const old = await echoThrough(controller.socketPath, echo.port);
    await replace(agent.certFile, rig.cluster.issueNode('edge-1'));
    await until('the new session', () => controller.sessions.status()[0]?.sessions === 2);
    await old.again();
    await until('the end', () => old.client.hasEnded || old.client.socket.destroyed);
    expect(controller.sessions.status()[0]).toMatchObject({
      sessions: 1,
      lastError: 'streams of a session that was replaced went on for too long',
    });
    await echoThrough(controller.socketPath, echo.port);
  });

  it('case 18: of a controller whose clock is ahead is not begun, and the reason names clocks', async () => {
    const dayMs = 86_400_000;
    const gateway = { ...rig.cluster.gateway, cert: rig.cluster.issueGateway(Date.now() + dayMs) };
    const controller = await rig.controller({ gateway });
    const { agent } = await rig.agent('edge-1', [controller.address]);
    const lastError = () => agent.status().controllers[0]?.lastError;
    await until('the reason', () => lastError() !== undefined);
    expect(lastError()).toBe(
      `TLS with ${controller.address} failed: its certificate is not valid yet; check the clocks of both machines`,
    );
    expect(controller.sessions.status()).toEqual([]);
  });

  it('case 18: ends with its certificate', async () => {
    const controller = await rig.controller();
    const pem = rig.cluster.issueNode('edge-1', 8_000);
    await rig.agent('edge-1', [controller.address], { pem });
    await untilConnected(controller, 'edge-1');
    await until('the end', () => !controller.sessions.isConnected('edge-1'));
    expect(controller.sessions.status()[0]).toMatchObject({
      lastError: 'the certificate of node edge-1 has expired',
      sessions: 0,
    });
  });

  it('case 18: is replaced, with its streams going on, when the certificate rotates', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    const agent = await rig.agent('edge-1', [controller.address], { credentialsPollMs: 20 });
    await untilConnected(controller, 'edge-1');
    const before = await echoThrough(controller.socketPath, echo.port);
    await replace(agent.certFile, rig.cluster.issueNode('edge-1'));
    await until('the new session', () => controller.sessions.status()[0]?.sessions === 2);
    await before.again();
    await echoThrough(controller.socketPath, echo.port);
    expect(agent.agent.status().controllers[0]).toMatchObject({ isConnected: true, reconnects: 1 });
    expect(controller.metrics.read().reconnects).toEqual(new Map([['replaced', 1]]));
    before.client.socket.destroy();
    await until('the old session to end', () => controller.sessions.status()[0]?.sessions === 1);
    await untilConnected(controller, 'edge-1');
  });

  it('case 24: to one controller lives while another restarts, with agents of its own', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const a = await rig.controller();
    const [port = 0] = await freePorts(1);
    const b = await startController(rig.cluster, { port });
    await rig.agent('edge-1', [a.address, b.address], noDelay);
    await rig.agent('edge-2', [b.address], noDelay);
    await untilConnected(a, 'edge-1');
    await untilConnected(b, 'edge-1', 'edge-2');
    const stream = await echoThrough(a.socketPath, echo.port);
    await b.close();
    await stream.again();
    expect(await answerOf(a.socketPath, 'edge-2', 10250)).toBe(
      'HTTP/1.1 503 node edge-2 has no tunnel: never connected to this controller',
    );
    const restarted = await rig.controller({ port });
    await untilConnected(restarted, 'edge-1', 'edge-2');
    await stream.again();
    expect(a.sessions.status()[0]).toMatchObject({ reconnects: 0 });
    stream.client.socket.destroy();
    await untilNoStream(a);
  });
});

describe('sessions', () => {
  it('of one node replace each other, but not for ever', async () => {
    const controller = await rig.controller();
    const options = { drainSpreadMs: 1, ...noDelay };
    const startedAt = performance.now();
    const twins = [
      await rig.agent('edge-1', [controller.address], options),
      await rig.agent('edge-1', [controller.address], options),
    ];
    await until('a quarrel', () => controller.metrics.read().duplicateSessions > 6, {
      timeoutMs: 60_000,
      describe: () => JSON.stringify(controller.sessions.status()),
    });
    expect(controller.sessions.status()[0]?.lastError).toMatch(
      /^two hosts seem to use the identity of node edge-1/,
    );
    // Five at once, and one more every ten seconds.
    const allowed = 6 + Math.floor((performance.now() - startedAt) / 10_000);
    expect(controller.sessions.status()[0]?.reconnects).toBeLessThanOrEqual(allowed);
    const connected = () =>
      twins.filter(({ agent }) => agent.status().controllers[0]?.isConnected === true).length;
    await until('one of them to stay', () => connected() === 1);
  });

  it('are closed when their node is removed', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    const agent = await rig.agent('edge-1', [controller.address], { random: () => 0.99 });
    await untilConnected(controller, 'edge-1');
    const stream = await echoThrough(controller.socketPath, echo.port);
    controller.sessions.closeNode('edge-1', 'node edge-1 was removed');
    await until('the end', () => stream.client.hasEnded || stream.client.socket.destroyed);
    await until(
      'the agent to notice',
      () => agent.agent.status().controllers[0]?.isConnected === false,
    );
    expect(controller.sessions.status()).toEqual([]);
  });

  it('have a limit of streams for each node and for all', async () => {
    const silent = await rig.target(() => {});
    const controller = await rig.controller({
      sessions: { maxStreamsPerNode: 2, maxStreams: 3 },
    });
    await rig.agent('edge-1', [controller.address]);
    await rig.agent('edge-2', [controller.address]);
    await untilConnected(controller, 'edge-1', 'edge-2');
    const open = async (host: string) => {
      const client = await rig.open(controller.socketPath, connectTo(host, silent.port));
      await until('200', () => text(client) === established);
      return client;
    };
    const first = await open(pod);
    await open(pod);
    expect(await answerOf(controller.socketPath, pod, silent.port)).toBe(
      'HTTP/1.1 503 tunnel busy: 2 streams to node edge-1 are open',
    );
    await open('10.244.2.5');
    expect(await answerOf(controller.socketPath, '10.244.2.5', silent.port)).toBe(
      'HTTP/1.1 503 tunnel busy: 3 streams to nodes are open',
    );
    first.socket.destroy();
    await until('room', () => (controller.sessions.status()[0]?.streams ?? 9) < 2);
    await open(pod);
  });

  it('follow the list of controllers', async () => {
    const a = await rig.controller();
    const b = await rig.controller();
    const { agent } = await rig.agent('edge-1', [a.address]);
    await untilConnected(a, 'edge-1');
    agent.setControllers([b.address]);
    await untilConnected(b, 'edge-1');
    await until('the other to be left', () => !a.sessions.isConnected('edge-1'));
    expect(agent.status().controllers.map(({ address }) => address)).toEqual([b.address]);
    expect(a.sessions.status()[0]).toMatchObject({ sessions: 0, streams: 0 });
    expect(a.sessions.status()[0]?.lastSeen).toBeGreaterThan(systemClock.now() - 60_000);
  });
});
