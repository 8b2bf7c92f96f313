import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { waitFor } from '../../../src/base/time.ts';
import { dialAtOnce } from '../../bench/sessions/dials.ts';
import { watchRush } from '../../bench/sessions/rush.ts';
import type { Swarm } from '../../bench/sessions/swarm.ts';
import { freePorts } from '../../support/free-ports.ts';
import { text, tunnelRig, until } from './agent-rig.ts';
import type { ControllerProcessOptions, ControllerStatus } from './controller-process.ts';
import { directDialsMs, patientTimeouts, thousandDialsLimitMs } from './dial-pace.ts';
import { connectTo, established } from './harness.ts';
import {
  type ControllerProcess,
  prepareController,
  type SpawnLimits,
  spawnAgent,
  spawnController,
} from './processes.ts';

/** The controller's side as a process of its own, with the gateway as it runs: killed, out of descriptors, crowded. */
const rig = tunnelRig();
const pod = '10.244.1.5';
const kubeletPort = 10_250;

async function controllerDirectory(): Promise<string> {
  const directory = await prepareController(rig.cluster);
  rig.closers.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function start(
  options: Partial<ControllerProcessOptions> & { readonly directory: string },
  limits: SpawnLimits = {},
): Promise<ControllerProcess> {
  const controller = await spawnController({ port: 0, ...options }, limits);
  rig.closers.push(() => controller.kill());
  return controller;
}

/** All agents in one process, `edge-0` and on. */
async function startSwarm(port: number, agents: number): Promise<ChildProcess> {
  const program = path.join(import.meta.dirname, '../../bench/sessions/swarm.ts');
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'inherit', 'inherit'] });
  rig.closers.push(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  });
  const nodes = Object.fromEntries(
    Array.from({ length: agents }, (_, i) => [`edge-${i}`, rig.cluster.issueNode(`edge-${i}`)]),
  );
  const { dialMs } = patientTimeouts;
  const { ca } = rig.cluster;
  const swarm: Swarm = { port, ca, agentsPerAddress: 1000, kubeletPort, nodes, dialMs };
  child.stdin.write(`${JSON.stringify(swarm)}\n`);
  return child;
}

async function untilStatus(
  controller: ControllerProcess,
  probe: (status: ControllerStatus) => boolean,
): Promise<void> {
  let state = '';
  await waitFor(
    async () => {
      const status = await controller.ask('status');
      state = JSON.stringify(status);
      return probe(status);
    },
    { subject: 'the status', timeoutMs: 60_000, intervalMs: 20, describe: () => state },
  );
}

it('case 3: SIGKILL of a controller brings all agents back to the next, once and not in one moment', async () => {
  const agents = 200;
  const directory = await controllerDirectory();
  const [port = 0] = await freePorts(1);
  const first = await start({ directory, port });
  await startSwarm(first.port, agents);
  const calm = await watchRush(first, agents, performance.now());
  await first.kill();
  // The socket's file is still there, as after a crash.
  expect(readdirSync(path.join(directory, 'run'))).toEqual(['tunnel.sock']);
  const second = await start({ directory, port });
  const rush = await watchRush(second, agents, performance.now());
  expect(rush).toMatchObject({ duplicates: 0, refusedConnections: 0 });
  // On a busy machine everything takes longer, as their first coming did, where nobody had to wait.
  expect(rush.allMs).toBeLessThan(Math.max(30_000, 5 * calm.allMs));
  const { tunnel } = await second.ask('status');
  expect(tunnel.nodes.map(({ sessions }) => sessions)).toEqual(Array(agents).fill(1));
  const since = tunnel.nodes.map(({ connectedSince = 0 }) => connectedSince);
  expect(Math.max(...since) - Math.min(...since)).toBeGreaterThan(200);
});

it('case 17: a controller without descriptors loses no session, and answers again when it has some', async () => {
  const echo = await rig.target((socket) => socket.pipe(socket));
  const directory = await controllerDirectory();
  const controller = await start({ directory }, { descriptors: 64 });
  const addresses = [controller.address];
  const agent = await spawnAgent({ cluster: rig.cluster, nodeName: 'edge-1', addresses });
  rig.closers.push(() => agent.close());
  await untilStatus(controller, ({ tunnel }) =>
    tunnel.nodes.some(({ rttMs }) => rttMs !== undefined),
  );
  const request = `${connectTo(pod, echo.port)}hi`;
  const clients = await Promise.all(
    Array.from({ length: 120 }, () => rig.open(controller.socketPath, request)),
  );
  const isServed = (answer: string) => answer === `${established}hi`;
  await until(
    'every client to be served or closed',
    () =>
      clients.every(
        (client) => isServed(text(client)) || client.socket.destroyed || client.hasEnded,
      ),
    {
      timeoutMs: 60_000,
      describe: () => `${clients.filter((c) => isServed(text(c))).length} served`,
    },
  );
  const served = clients.filter((client) => isServed(text(client))).length;
  expect(served).toBeGreaterThan(10);
  expect(served).toBeLessThan(64);
  for (const { socket } of clients) socket.destroy();
  await untilStatus(controller, ({ tunnel }) => tunnel.activeStreams === 0);
  const client = await rig.open(controller.socketPath, request);
  await until('the echo', () => isServed(text(client)), { describe: () => text(client) });
  const { tunnel } = await controller.ask('status');
  expect(tunnel.nodes).toMatchObject([{ nodeName: 'edge-1', sessions: 1, reconnects: 0 }]);
});

it("case 19: a proxy in the environment is nothing to the tunnel's own connections", async () => {
  const env: Record<string, string> = { NODE_USE_ENV_PROXY: '1' };
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']) {
    // Nobody answers there.
    env[name] = 'http://127.0.0.1:1';
    env[name.toLowerCase()] = 'http://127.0.0.1:1';
  }
  const echo = await rig.target((socket) => socket.pipe(socket));
  const controller = await start({ directory: await controllerDirectory() }, { env });
  const addresses = [controller.address];
  const agent = await spawnAgent({ cluster: rig.cluster, nodeName: 'edge-1', addresses }, { env });
  rig.closers.push(() => agent.close());
  await untilStatus(controller, ({ tunnel }) => tunnel.nodes.length === 1);
  const client = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
  await until('the echo', () => text(client) === `${established}hi`);
});

it('case 16: 1000 dials at once are answered by a process that has carried nothing before', async () => {
  const directory = await controllerDirectory();
  const controller = await start({ directory, timeouts: patientTimeouts });
  await startSwarm(controller.port, 1);
  await watchRush(controller, 1, performance.now());
  const targets = Array.from({ length: 1000 }, () => ({ host: 'edge-0', port: kubeletPort }));
  const directMs = await directDialsMs();
  const burst = await dialAtOnce(controller.socketPath, targets, 120_000);
  expect(burst).toMatchObject({ answered: 1000, failures: {} });
  expect(burst.allMs).toBeLessThan(await thousandDialsLimitMs(directMs));
});

it('case 20: a thousand agents of one process are served, and cost little', async () => {
  const agents = 1000;
  const controller = await start(
    { directory: await controllerDirectory(), timeouts: patientTimeouts },
    { nodeOptions: V8_FLAGS },
  );
  const { heapBytes: before } = await controller.ask('collect');
  await startSwarm(controller.port, agents);
  await watchRush(controller, agents, performance.now());
  const { heapBytes: after } = await controller.ask('collect');
  // What JavaScript holds; the whole process is the benchmark's business.
  expect((after - before) / agents).toBeLessThan(40_000);
  const targets = Array.from({ length: agents }, (_, i) => ({
    host: `edge-${i}`,
    port: kubeletPort,
  }));
  const burst = await dialAtOnce(controller.socketPath, targets, 120_000);
  expect(burst).toMatchObject({ answered: agents, failures: {} });
  await untilStatus(
    controller,
    ({ tunnel }) =>
      tunnel.activeStreams === 0 && tunnel.nodes.every(({ streams }) => streams === 0),
  );
});
