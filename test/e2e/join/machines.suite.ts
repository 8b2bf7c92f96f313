import { afterAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { compareSnapshots, snapshotMachine } from '../../support/e2e/faults-snapshot.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../../support/e2e/worker.ts';
import type { JoinScene } from './scene.ts';

/** The end of a machine, and what takes its place. */
export function describeMachines(scene: () => JoinScene): void {
  describe('when a machine is given up', () => {
    let worker: Worker | undefined;

    afterAll(async () => {
      await worker?.stop();
    });

    test('reset leaves nothing of a worker', async () => {
      const { spare, untouched } = scene();
      const traces = compareSnapshots(untouched, await snapshotMachine(spare)).join('\n');
      expect(traces).toMatch(/^file: \+ \/var\/lib\/mini-k8s\/state\/join\.json /m);
      expect(traces).toMatch(/^nftables: \+ table ip kube-proxy/m);
      const { exitCode, stdout, stderr } = await spare.exec([
        nodePaths.executable,
        'reset',
        '--yes',
      ]);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(stdout).toMatch(/^removed \/var\/lib\/mini-k8s\/state$/m);
      expect(stdout).toMatch(/^removed \/etc\/mini-k8s\/registries\/_default\/hosts\.toml$/m);
      expect(compareSnapshots(untouched, await snapshotMachine(spare))).toEqual([]);
    });

    test('its name goes to the machine that takes its place, once it is dead', async () => {
      const { cluster, spare } = scene();
      const token = await createToken(cluster);
      await waitFor(
        async () => {
          const { exitCode, stderr } = await spare.exec(
            [nodePaths.executable, 'worker', '--dry-run', '--token', '-', '--node-name', 'edge-1'],
            { input: token },
          );
          if (exitCode !== 0) expect(stderr).toContain('the node name edge-1 is taken: machine ');
          return exitCode === 0;
        },
        { subject: 'edge-1 to be given up', timeoutMs: 115_000, intervalMs: 1000 },
      );
      const { metadata: old } = await cluster.getJson(['node', 'edge-1']);
      worker = await startWorker(spare, { token, nodeName: 'edge-1' });
      await worker.waitReady();
      const node = await cluster.getJson(['node', 'edge-1']);
      expect(node.metadata.uid).toBe(old.uid);
      expect(node.status.nodeInfo.machineID).toBe((await spare.readFile('/etc/machine-id')).trim());
    });
  });
}
