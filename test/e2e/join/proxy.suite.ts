import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPods, testPod } from '../../support/e2e/objects.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../../support/e2e/worker.ts';
import { startHttpProxy, type TestProxy } from '../../support/http-proxy.ts';
import type { JoinScene } from './scene.ts';

const namespace = 'behind-proxy';

/** A site where only an HTTP proxy leads out. Leaves `join-closed`. */
export function describeProxy(scene: () => JoinScene): void {
  describe('through an HTTP proxy', () => {
    let proxy: TestProxy;
    let worker: Worker;
    const proxyUrl = () => `http://${scene().site.gateway}:${proxy.port}`;

    beforeAll(async () => {
      const { site, closedSite } = scene();
      proxy = await startHttpProxy({ address: site.gateway });
      await closedSite.allowOnly(site.gateway);
    });
    afterAll(async () => {
      await worker?.stop();
      await proxy?.close();
    });

    test('a worker joins and becomes Ready where nothing but the proxy can be reached', async () => {
      const { cluster, closed } = scene();
      worker = await startWorker(closed, {
        token: await createToken(cluster),
        env: { HTTPS_PROXY: proxyUrl() },
      });
      await worker.waitReady();
      const { address } = cluster.node;
      expect(new Set(proxy.targets)).toEqual(new Set([`${address}:9443`, `${address}:6443`]));
    });

    test('logs and exec work through it', async () => {
      const { cluster, closed } = scene();
      await closed.run([
        ...[nodePaths.executable, 'ctr', 'images', 'import', `${nodePaths.testImages}/busybox.tar`],
      ]);
      const command = ['sh', '-c', 'echo hello from behind; exec sleep 2147483647'];
      const pod = testPod({ name: 'speaker', namespace, command });
      await startPods(cluster, namespace, [
        { ...pod, spec: { ...pod.spec, nodeName: closed.name } },
      ]);
      const inNamespace = ['-n', namespace, 'speaker'];
      expect(await cluster.kubectl(['logs', ...inNamespace])).toBe('hello from behind\n');
      expect(await cluster.kubectl(['exec', ...inNamespace, '--', 'hostname'])).toBe('speaker\n');
    });

    test('NO_PROXY leads straight to the controller, and a proxy that does not answer is named', async () => {
      const { cluster, spare, site } = scene();
      const token = await createToken(cluster);
      const dead = `http://${site.gateway}:9`;
      const plan = (env: Readonly<Record<string, string>>) =>
        spare.exec([nodePaths.executable, 'worker', '--dry-run', '--token', '-'], {
          input: token,
          env,
        });
      const refused = await plan({ HTTPS_PROXY: dead });
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(
        new RegExp(
          `Cannot plan a join through \\S+:9443: proxy ${site.gateway}:9 refuses connections\nfix: .*NO_PROXY`,
        ),
      );
      const { address } = cluster.node;
      for (const exception of [address, site.subnet, `${address}:9443`]) {
        expect(await plan({ HTTPS_PROXY: dead, NO_PROXY: exception })).toMatchObject({
          exitCode: 0,
          stderr: '',
        });
      }
      const before = proxy.targets.length;
      expect((await plan({ HTTPS_PROXY: proxyUrl() })).exitCode).toBe(0);
      expect(proxy.targets.length).toBeGreaterThan(before);
    });
  });
}
