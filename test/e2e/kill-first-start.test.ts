import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import {
  componentProcesses,
  livingComponents,
  runningComponents,
  waitForApi,
} from '../support/e2e/faults.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { TestNode } from '../support/node/types.ts';

// The moments lie in the import, in the certificates, while etcd, the API server and the node start.
describe.skipIf(nodeSkipReason() !== undefined)(
  'SIGKILL of the first start',
  {
    timeout: 240_000,
  },
  () => {
    let node: TestNode;
    let cluster: Cluster | undefined;

    beforeAll(async () => {
      node = await createProductNode({ name: 'e2e-first-start', cpus: 2 });
    });
    afterAll(async () => {
      await node?.destroy();
    });
    explainFailures(() => cluster);

    test('after 0.3, 1 and 2.5 s, one after the other: the next start serves', async () => {
      for (const afterMs of [300, 1000, 2500]) await startAndKill(afterMs);
      cluster = await startCluster(node);
      await waitForApi(cluster);
      expect(await cluster.kubectl(['get', '--raw', '/readyz'])).toBe('ok');
      await cluster.kill();
      await node.run([nodePaths.executable, 'reset', '--yes']);
      expect(await livingComponents(node)).toEqual([]);
    });

    test('after 5 and 9 s, one after the other: the next start becomes Ready', async () => {
      for (const afterMs of [5000, 9000]) await startAndKill(afterMs);
      cluster = await startCluster(node);
      await cluster.waitReady();
      const running = await runningComponents(node);
      for (const name of componentProcesses) expect(running[name], name).toHaveLength(1);
    });

    async function startAndKill(afterMs: number): Promise<void> {
      const started = await startCluster(node);
      const deadline = performance.now() + afterMs;
      await waitFor(() => performance.now() >= deadline, {
        subject: `${afterMs} ms`,
        timeoutMs: afterMs + 5000,
        intervalMs: 10,
      });
      expect(started.process.exitCode).toBeUndefined();
      await started.kill();
    }
  },
);
