import { afterAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { renderJoinToken } from '../../../src/join/token.ts';
import { pinOf } from '../../../src/join/verify-gateway.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../../support/e2e/worker.ts';
import { rigAuthority } from '../../support/rig-authority.ts';
import type { JoinScene } from './scene.ts';

const nodeName = 'edge-2';

/** A worker is taken out and comes back. Leaves the spare machine as that node, stopped. */
export function describeRemoval(scene: () => JoinScene): void {
  describe('a node that is removed', () => {
    let worker: Worker | undefined;
    const onSpare = (...args: readonly string[]) =>
      scene().spare.exec([nodePaths.executable, ...args]);

    afterAll(async () => {
      await worker?.stop();
    });

    test('is evicted and deleted, and its worker ends, saying why and what to do', async () => {
      const { cluster, spare } = scene();
      worker = await startWorker(spare, { nodeName, token: await createToken(cluster) });
      await worker.waitReady();
      const said = await cluster.run(['node', 'remove', nodeName]);
      expect(said).toMatch(
        /^evicting the pods of node edge-2.*\nnode edge-2 marked as removed: it can come back with a fresh token only\nnode edge-2 deleted/s,
      );
      const { process } = worker;
      await waitFor(() => process.exitCode !== undefined, {
        subject: 'the worker to end',
        timeoutMs: 60_000,
        intervalMs: 200,
        describe: () => process.output().split('\n').slice(-30).join('\n'),
      });
      expect(process.exitCode).toBe(1);
      expect(process.output()).toMatch(
        /error: Cannot run this worker: node edge-2 was removed from the cluster at \S+Z\nfix: join again with a fresh token of "mini-k8s token create"/,
      );
      const { stdout } = await cluster.mini(['kubectl', 'get', 'nodes', '-o', 'name']);
      expect(stdout).not.toContain(nodeName);
      // Its certificate is good for months, and its agent tried again while it was still running.
      expect(cluster.process.output()).toContain(`refused the tunnel of node ${nodeName}`);
    });

    test('does not start again without a token, and says so with no network too', async () => {
      const again = await onSpare('worker');
      expect(again.exitCode).toBe(1);
      expect(again.stderr).toContain('node edge-2 was removed from the cluster at ');
      expect(again.stderr).toContain('fix: join again with a fresh token');
      const { spare } = scene();
      await spare.run(['ip', 'link', 'set', 'eth0', 'down']);
      try {
        const alone = await onSpare('worker');
        expect(alone.exitCode).toBe(1);
        expect(alone.stderr).toMatch(
          /node edge-2 was removed from the cluster at \S+, and no controller says otherwise now/,
        );
      } finally {
        await spare.run(['ip', 'link', 'set', 'eth0', 'up']);
        await spare.run(['ip', 'route', 'replace', 'default', 'via', spare.gateway]);
      }
      expect((await spare.processes()).map(({ name }) => name)).not.toContain('kubelet');
    });

    test('is let in again by a fresh token, under the name that it had', async () => {
      const { cluster, spare } = scene();
      const token = await createToken(cluster);
      worker = await startWorker(spare, { token, nodeName, isNameKnown: true });
      await worker.waitReady();
      expect(await worker.stop()).toBe(0);
    });

    test('a member takes no other name, no token of another cluster, and becomes no controller', async () => {
      const stranger = renderJoinToken({
        role: 'worker',
        id: 'abc123',
        secret: 's3cr3ts3cr3ts3cr',
        caPin: pinOf(rigAuthority().pem),
        servers: [`${scene().site.gateway}:9`],
      });
      for (const [args, error] of [
        [
          ['worker', '--token', stranger],
          'Cannot join the cluster of this token: this machine is the node edge-2 of another cluster already',
        ],
        [
          // The file was taken away, as it should be: that is not what it complains about.
          ['worker', '--token-file', '/root/gone', '--node-name', 'edge-3'],
          'Cannot start the node edge-3: this machine is the node edge-2 already',
        ],
        [['controller'], 'Cannot start the controller: this machine is a worker of a cluster'],
      ] as const) {
        const { exitCode, stderr } = await onSpare(...args);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`error: ${error}`);
        expect(stderr).toMatch(/^fix: .*mini-k8s reset --yes/m);
      }
    });
  });
}
