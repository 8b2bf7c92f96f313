// scripts/bench-sessions: what many agents cost a controller, and how they come back. See usage.txt, docs/benchmarks.md.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { sleep } from '../../../src/base/time.ts';
import { createTestCluster } from '../../integration/tunnel/node-certificates.ts';
import {
  type ControllerProcess,
  prepareController,
  spawnController,
} from '../../integration/tunnel/processes.ts';
import { anonymousBytes, cpuSeconds } from '../proc.ts';
import { runBench, saveResults } from '../run-bench.ts';
import { dialAtOnce } from './dials.ts';
import { parseSessionBenchOptions, type SessionBenchOptions } from './options.ts';
import { type Rush, watchRush } from './rush.ts';
import { renderSessionTable, type SessionResults } from './session-table.ts';
import type { Swarm } from './swarm.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
/** Between SIGKILL and the new start; with it, the controller is away for less than 5 s. */
const downMs = 4_000;
/** A site of so many agents has one address. */
const agentsPerAddress = 1000;
const kubeletPort = 10_250;
/** After the first minute's pings, which measure the path, and the timers of the handshakes. */
const settleMs = 15_000;

const cluster = createTestCluster();
const directory = await prepareController(cluster);
/** Whatever runs; an interrupted run leaves nothing behind either. */
const running = new Set<ChildProcess>();
const endAll = () => {
  for (const child of running) child.kill('SIGKILL');
};
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143));
process.once('exit', endAll);
try {
  process.exitCode = await runBench((args) => parseSessionBenchOptions(args, ROOT), measureAll);
} finally {
  endAll();
  await rm(directory, { recursive: true, force: true });
}

async function measureAll(options: SessionBenchOptions): Promise<number> {
  const large = await measureIdle(options);
  const small = await measureRestart(options);
  await save(options, { agents: options.agents, downMs, ...large, ...small });
  return 0;
}

type Large = Pick<
  SessionResults,
  'firstConnect' | 'memoryBefore' | 'memoryWithAgents' | 'idleCpuShare' | 'largeRestart'
>;

async function measureIdle({ agents, idleSeconds }: SessionBenchOptions): Promise<Large> {
  const first = await startController(0);
  const memoryBefore = await settledMemory(first);
  const { child, startedAtMs } = startSwarm(first.port, agents);
  const firstConnect = await watchRush(first, agents, startedAtMs);
  console.log(`${agents} agents are connected; waiting until they are idle`);
  await sleep(settleMs);
  const memoryWithAgents = await settledMemory(first);
  const cpuBefore = await cpuSeconds(first.pid);
  await sleep(idleSeconds * 1000);
  const idleCpuShare = ((await cpuSeconds(first.pid)) - cpuBefore) / idleSeconds;
  const { rush, controller } = await restart(first, agents);
  await stop(child);
  await controller.kill();
  return { firstConnect, memoryBefore, memoryWithAgents, idleCpuShare, largeRestart: rush };
}

type Small = Pick<SessionResults, 'smallRestart' | 'dialsToAll' | 'dialsToOne'>;

async function measureRestart(options: SessionBenchOptions): Promise<Small> {
  const { restartAgents, dials } = options;
  const first = await startController(0);
  const { child, startedAtMs } = startSwarm(first.port, restartAgents);
  await watchRush(first, restartAgents, startedAtMs);
  const second = await restart(first, restartAgents);
  const { socketPath } = second.controller;
  const toNode = (index: number) => ({
    host: `edge-${index % restartAgents}`,
    port: kubeletPort,
  });
  const dialsToAll = await dialAtOnce(
    socketPath,
    Array.from({ length: dials }, (_, i) => toNode(i)),
  );
  // Cold again: this process has carried no stream.
  const third = await restart(second.controller, restartAgents);
  const toOne = Array.from({ length: dials }, () => toNode(0));
  const dialsToOne = await dialAtOnce(third.controller.socketPath, toOne);
  await stop(child);
  await third.controller.kill();
  return { smallRestart: second.rush, dialsToAll, dialsToOne };
}

async function restart(
  controller: ControllerProcess,
  agents: number,
): Promise<{ readonly rush: Rush; readonly controller: ControllerProcess }> {
  console.log(`restarting the controller of ${agents} agents`);
  await controller.kill();
  await sleep(downMs);
  const started = await startController(controller.port);
  return { rush: await watchRush(started, agents, performance.now()), controller: started };
}

async function startController(port: number): Promise<ControllerProcess> {
  const controller = await spawnController({ directory, port }, { nodeOptions: V8_FLAGS });
  running.add(controller.child);
  controller.child.once('exit', () => running.delete(controller.child));
  return controller;
}

function startSwarm(port: number, agents: number): { child: ChildProcess; startedAtMs: number } {
  const nodes = Object.fromEntries(
    Array.from({ length: agents }, (_, i) => [`edge-${i}`, cluster.issueNode(`edge-${i}`)]),
  );
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'swarm.ts')], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const swarm: Swarm = { port, ca: cluster.ca, agentsPerAddress, kubeletPort, nodes };
  child.stdin.on('error', () => {}).write(`${JSON.stringify(swarm)}\n`);
  return { child, startedAtMs: performance.now() };
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Once the garbage of handshakes is gone: until three collections in a row change next to nothing. */
async function settledMemory(controller: ControllerProcess): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let calm = 0; calm < 3; ) {
    await controller.ask('collect');
    await sleep(500);
    const bytes = await anonymousBytes(controller.pid);
    calm = bytes > least * 0.995 ? calm + 1 : 0;
    least = Math.min(least, bytes);
  }
  return least;
}

async function save(options: SessionBenchOptions, results: SessionResults): Promise<void> {
  const machine = await saveResults(options.output, { results });
  console.log(`\n${renderSessionTable(results)}\n`);
  console.log(machine);
  console.log(`Every number: ${options.output}`);
}
