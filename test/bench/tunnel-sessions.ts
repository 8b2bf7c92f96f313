// What idle agents cost a controller, and how they come back after a restart:
//   scripts/node --expose-gc test/bench/tunnel-sessions.ts [agents, 10000 unless given]
// The agents run in a process of their own; needs as many descriptors (ulimit -n) as agents.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { sleep, waitFor } from '../../src/base/time.ts';
import { createTestCluster } from '../integration/tunnel/node-certificates.ts';
import { type Controller, startController } from '../integration/tunnel/tunnel-peers.ts';
import type { Swarm } from './tunnel-swarm.ts';

const count = Number(process.argv[2] ?? 10_000);
const downMs = 4_000;
const idleMs = 30_000;

const cluster = createTestCluster();
const nodes = Object.fromEntries(
  Array.from({ length: count }, (_, i) => [`edge-${i}`, cluster.issueNode(`edge-${i}`)]),
);
const first = await startController(cluster, {});
const before = await settledMemory();
const swarm = spawn(process.execPath, [path.join(import.meta.dirname, 'tunnel-swarm.ts')], {
  stdio: ['pipe', 'inherit', 'inherit'],
});
try {
  const config: Swarm = { port: first.port, ca: cluster.ca, nodes };
  const startedAtMs = performance.now();
  swarm.stdin.write(`${JSON.stringify(config)}\n`);
  await allConnected(first);
  const connectedMs = performance.now() - startedAtMs;
  const after = await settledMemory();
  console.log(`${count} agents connected in ${seconds(connectedMs)}`);
  console.log(`memory per idle session: ${Math.round((after - before) / count / 1024)} KiB`);
  const cpu = process.cpuUsage();
  await sleep(idleMs);
  const { user, system } = process.cpuUsage(cpu);
  console.log(`idle: ${((user + system) / idleMs / 10).toFixed(1)} % of one core`);
  await first.close();
  await sleep(downMs);
  const second = await startController(cluster, { port: first.port });
  const restartedAtMs = performance.now();
  await allConnected(second);
  console.log(
    `all back ${seconds(performance.now() - restartedAtMs)} after a restart of ${downMs / 1000} s, at most ${mostInOneSecond(second)} in a second, ${second.metrics.read().duplicateSessions} of them twice`,
  );
  await second.close();
} finally {
  swarm.kill('SIGKILL');
}

async function allConnected(controller: Controller): Promise<void> {
  const connected = () =>
    controller.sessions.status().filter(({ rttMs }) => rttMs !== undefined).length;
  await waitFor(() => connected() === count, {
    subject: `${count} sessions`,
    timeoutMs: 300_000,
    intervalMs: 250,
    describe: () => `${connected()}`,
  });
}

function mostInOneSecond(controller: Controller): number {
  const perSecond = new Map<number, number>();
  for (const { connectedSince = 0 } of controller.sessions.status()) {
    const second = Math.floor(connectedSince / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  return Math.max(...perSecond.values());
}

/** Resident, once the garbage of handshakes is gone. */
async function settledMemory(): Promise<number> {
  for (let i = 0; i < 5; i += 1) {
    globalThis.gc?.();
    await sleep(500);
  }
  return process.memoryUsage().rss;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
