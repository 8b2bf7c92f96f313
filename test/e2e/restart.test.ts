import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import type { NodeStatus } from '../../src/node/status-types.ts';
import { bundleArguments, type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import {
  componentProcesses,
  containersOf,
  livingComponents,
  runningComponents,
  shimCount,
  waitForNoComponents,
} from '../support/e2e/faults.ts';
import { startLastingPod } from '../support/e2e/lasting-pod.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { TestNode } from '../support/node/types.ts';

/** In which a stop must be over, milliseconds. */
const stopLimitMs = 20_000;

// One story in order: start, stop, start, stop, start.
describe.skipIf(nodeSkipReason() !== undefined)(
  'stop and start again',
  { timeout: 180_000 },
  () => {
    let node: TestNode;
    let cluster: Cluster;
    let containers: Awaited<ReturnType<typeof containersOf>>;

    beforeAll(async () => {
      node = await createProductNode({ name: 'e2e-restart' });
      cluster = await startCluster(node);
      containers = await startLastingPod(cluster, 'restart');
    });
    afterAll(async () => {
      await node?.destroy();
    });
    explainFailures(() => cluster);

    test('a second controller refuses, names the first one and does not harm it', async () => {
      const before = await runningComponents(node);
      const { pid, startedAt } = (await cluster.status()).supervisor;
      for (const dataDir of ['/var/lib/mini-k8s', '/var/lib/elsewhere']) {
        const { exitCode, stdout, stderr } = await cluster.mini([
          ...['controller', '--data-dir', dataDir],
          ...bundleArguments(),
        ]);
        expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
        const [what, fix] = stderr.trim().split('\n');
        expect(what).toMatch(
          new RegExp(
            `^error: Cannot start the controller: pid ${pid} \\(controller, data directory /var/lib/mini-k8s, since ${startedAt.slice(0, 10)}T[0-9:.]+Z\\) is running$`,
          ),
        );
        expect(fix).toBe('fix: use the running one (mini-k8s status), or stop it first');
      }
      expect(await runningComponents(node)).toEqual(before);
    });

    test('SIGTERM stops every component in order, and no container', async () => {
      const shims = await shimCount(node);
      const { exitCode, elapsedMs } = await end('SIGTERM');
      expect(exitCode).toBe(0);
      expect(elapsedMs).toBeLessThan(stopLimitMs);
      expect(await livingComponents(node)).toEqual([]);
      expect(await shimCount(node)).toBe(shims);
      expect(cluster.process.output()).toContain('Stopping (SIGTERM) …');
      expectStopOrder();
    });

    test('without a controller, status says so', async () => {
      expect(await cluster.mini(['status'])).toEqual({
        exitCode: 1,
        stdout: '',
        stderr:
          'error: Cannot read the status: mini-k8s does not run on this machine\nfix: start it with: mini-k8s controller, or: mini-k8s worker\n',
      });
    });

    test('the next start finds the same containers running', async () => {
      cluster = await startCluster(node, { usesBundle: false });
      const status = await cluster.waitReady();
      expect(await containersOf(cluster)).toEqual(containers);
      expect(status.components.map(({ restartCount }) => restartCount)).toEqual(
        status.components.map(() => 0),
      );
    });

    test('SIGINT stops everything too', async () => {
      const { exitCode, elapsedMs } = await end('SIGINT');
      expect(exitCode).toBe(0);
      expect(elapsedMs).toBeLessThan(stopLimitMs);
      expect(await livingComponents(node)).toEqual([]);
      expect(cluster.process.output()).toContain('Stopping (SIGINT) …');
    });

    test('it outlives the reader of its output, and still stops in order', async () => {
      const reader = node.spawn([
        'sh',
        '-c',
        `${nodePaths.executable} controller 2>&1 | head -n 1`,
      ]);
      let status: NodeStatus | undefined;
      await waitFor(
        async () => {
          const { exitCode, stdout } = await cluster.mini(['status', '-o', 'json']);
          status = exitCode === 0 ? (JSON.parse(stdout) as NodeStatus) : undefined;
          return status?.node.isReady;
        },
        { subject: 'the node to be Ready', timeoutMs: 60_000, describe: () => reader.output() },
      );
      expect(reader.output().trim().split('\n')).toHaveLength(1);
      expect(await livingComponents(node)).toEqual(componentProcesses);
      await node.run(['kill', '-TERM', String(status?.supervisor.pid)]);
      await waitForNoComponents(node, stopLimitMs);
      expect(await reader.exited).toBe(0);
    });

    async function end(signal: 'SIGTERM' | 'SIGINT') {
      const startedAt = performance.now();
      cluster.process.kill(signal);
      const exitCode = await cluster.process.exited;
      return { exitCode, elapsedMs: performance.now() - startedAt };
    }

    /** Whoever needs another is stopped before it. */
    function expectStopOrder(): void {
      const output = cluster.process.output();
      const at = (name: string) => output.indexOf(`✓ stopped ${name} (`);
      for (const name of componentProcesses) expect(at(name), `stopped ${name}`).not.toBe(-1);
      expect(at('kubelet')).toBeLessThan(at('containerd'));
      for (const client of ['kube-scheduler', 'kube-controller-manager', 'kube-proxy', 'kubelet']) {
        expect(at(client), client).toBeLessThan(at('kube-apiserver'));
      }
      expect(at('kube-apiserver')).toBeLessThan(at('etcd'));
    }
  },
);
