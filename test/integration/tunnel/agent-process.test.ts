import { expect, it } from 'vitest';
import { quickest } from '../../support/quickest.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { connectTo, established } from './harness.ts';
import { type AgentProcess, type SpawnLimits, spawnAgent } from './processes.ts';

const rig = tunnelRig();
const pod = '10.244.1.5';

/** The agent of node edge-1. */
async function startAgent(address: string, limits: SpawnLimits = {}): Promise<AgentProcess> {
  const agent = await spawnAgent(
    { cluster: rig.cluster, nodeName: 'edge-1', addresses: [address] },
    limits,
  );
  rig.closers.push(() => agent.close());
  return agent;
}

it('case 1: SIGKILL of an agent ends its streams and its pending dials within a second', async () => {
  const silent = await rig.target((socket) => socket.resume().once('end', () => socket.end()));
  const controller = await rig.controller();
  const killOne = async () => {
    const { child } = await startAgent(controller.address);
    await untilConnected(controller, 'edge-1');
    const client = await rig.open(controller.socketPath, `${connectTo(pod, silent.port)}x`);
    await until('200', () => text(client) === established);
    // Stopped, it answers no dial; then it is killed with the dial pending.
    child.kill('SIGSTOP');
    const pending = await rig.open(controller.socketPath, connectTo(pod, silent.port));
    await until('the dial', () => controller.metrics.read().dials.pending === 1);
    const startedAt = performance.now();
    child.kill('SIGKILL');
    await until('the ends', () => pending.hasEnded && (client.hasEnded || client.socket.destroyed));
    const tookMs = performance.now() - startedAt;
    expect(text(pending)).toMatch(/^HTTP\/1.1 502 the tunnel of node edge-1 broke off: /);
    await until('no connection', () => silent.sockets.size === 0);
    await untilNoStream(controller);
    return tookMs;
  };
  expect(await quickest(killOne, 1_000)).toBeLessThan(1_000);
});

it('case 17: an agent without descriptors says so, and recovers', async () => {
  const echo = await rig.target((socket) => socket.pipe(socket));
  const controller = await rig.controller();
  await startAgent(controller.address, { descriptors: 64 });
  await untilConnected(controller, 'edge-1');
  const clients = await Promise.all(
    Array.from({ length: 80 }, () =>
      rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`),
    ),
  );
  const isAnswered = (answer: string) => answer.endsWith('hi') || answer.includes(' 503 ');
  await until('all answers', () => clients.every((client) => isAnswered(text(client))));
  const refused = clients.filter((client) => !text(client).endsWith('hi'));
  expect(refused.length).toBeGreaterThan(10);
  expect(refused.length).toBeLessThan(70);
  const reason = /^HTTP\/1.1 503 tunnel is out of file descriptors, cannot reach pod 10.244.1.5:/;
  expect(refused.filter((client) => !reason.test(text(client))).map(text)).toEqual([]);
  for (const { socket } of clients) socket.destroy();
  await untilNoStream(controller);
  const client = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
  await until('the echo', () => text(client) === `${established}hi`);
  expect(controller.sessions.status()[0]).toMatchObject({ sessions: 1, reconnects: 0 });
});

it('case 23: a controller that is blocked for 5 s keeps its sessions', async () => {
  const echo = await rig.target((socket) => socket.pipe(socket));
  // Dead after 4 s, to be well below the time that this process is blocked for.
  const controller = await rig.controller({
    sessions: { carrier: { pingIntervalMs: 1_000, deadAfterMs: 4_000 } },
  });
  await startAgent(controller.address);
  await untilConnected(controller, 'edge-1');
  const client = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
  await until('the echo', () => text(client) === `${established}hi`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_000);
  client.socket.write('more');
  await until('the next echo', () => text(client) === `${established}himore`);
  await until('a ping', () => (controller.sessions.status()[0]?.rttMs ?? 5_000) < 5_000);
  expect(controller.sessions.status()[0]).toMatchObject({ sessions: 1, reconnects: 0 });
});
