import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { Cluster } from '../../support/e2e/cluster.ts';
import { startPods, testPod, webPod } from '../../support/e2e/objects.ts';
import { fetchFrom, type OutsideKubectl } from '../../support/e2e/outside.ts';
import { nodePaths } from '../../support/e2e/product.ts';

const NAMESPACE = 'pods';

/** What people do with a pod: all of it goes through the tunnel to the kubelet. */
export function describePods(cluster: () => Cluster, outside: () => OutsideKubectl): void {
  const kubectl = (args: readonly string[]) => ['kubectl', '-n', NAMESPACE, ...args];

  describe('pods', () => {
    beforeAll(async () => {
      // `kubectl cp` runs tar in the container.
      const script = 'busybox ln -s "$(command -v busybox)" /usr/bin/tar; exec sleep 2147483647';
      await startPods({ kubectl: outside().run }, NAMESPACE, [
        webPod({ name: 'web', namespace: NAMESPACE, text: 'forwarded' }),
        testPod({ name: 'tools', namespace: NAMESPACE, command: ['sh', '-c', script] }),
        testPod({
          name: 'talker',
          namespace: NAMESPACE,
          command: ['sh', '-c', 'echo first; exec sleep 2147483647'],
        }),
      ]);
    });

    test('logs are read, and followed as they come', async ({ onTestFinished }) => {
      expect(await cluster().run(kubectl(['logs', 'talker']))).toBe('first\n');
      const argv = [nodePaths.executable, ...kubectl(['logs', '-f', 'talker'])];
      const follower = cluster().node.spawn(argv);
      onTestFinished(async () => {
        follower.kill();
        await follower.exited;
      });
      const isSaid = (text: string) =>
        waitFor(() => follower.output().includes(text), {
          subject: `"${text}" in the followed log`,
          timeoutMs: 20_000,
          describe: () => `${follower.output()} (exit ${follower.exitCode})`,
        });
      await isSaid('first\n');
      await cluster().run(
        kubectl(['exec', 'talker', '--', 'sh', '-c', 'echo second > /proc/1/fd/1']),
      );
      await isSaid('first\nsecond\n');
      expect(follower.exitCode).toBeUndefined();
    });

    test('exec has input, output, errors and an exit code', async () => {
      const input = randomBytes(2 * 1024 * 1024);
      const sum = createHash('sha256').update(input).digest('hex');
      const hashed = await cluster().run(kubectl(['exec', '-i', 'tools', '--', 'sha256sum']), {
        input,
      });
      expect(hashed).toBe(`${sum}  -\n`);
      const script = 'echo out; echo err >&2; exit 42';
      const result = await cluster().mini(kubectl(['exec', 'tools', '--', 'sh', '-c', script]));
      expect(result).toMatchObject({ exitCode: 42, stdout: 'out\n' });
      expect(result.stderr).toMatch(/^err\n/);
    });

    test('port-forward carries TCP', async ({ onTestFinished }) => {
      const forward = kubectl(['port-forward', '--address', '0.0.0.0', 'pod/web', ':8080']);
      const forwarder = cluster().node.spawn([nodePaths.executable, ...forward]);
      onTestFinished(async () => {
        forwarder.kill();
        await forwarder.exited;
      });
      const port = await waitFor(
        () => /Forwarding from 0\.0\.0\.0:(\d+) -> 8080/.exec(forwarder.output())?.[1],
        { subject: 'port-forward', timeoutMs: 20_000, describe: () => forwarder.output() },
      );
      const url = `http://${cluster().node.address}:${port}/`;
      const answers = await Promise.all([1, 2, 3].map(() => fetchFrom(url)));
      for (const answer of answers) expect(answer).toEqual({ status: 200, body: 'forwarded\n' });
    });

    test('a mini-k8s kubectl that is ended ends its kubectl', async () => {
      const argv = [nodePaths.executable, ...kubectl(['exec', 'web', '--', 'sleep', '86399'])];
      const caller = cluster().node.spawn(argv);
      const isThere = async () =>
        (await cluster().node.processes()).some(
          ({ name, commandLine }) => name === 'kubectl' && commandLine.includes('86399'),
        );
      await waitFor(isThere, { subject: 'kubectl to run', timeoutMs: 20_000 });
      caller.kill('SIGTERM');
      expect(await caller.exited).not.toBe(0);
      expect(await isThere()).toBe(false);
    });

    test('cp brings a file into a pod and back unchanged', async () => {
      const { node } = cluster();
      const content = randomBytes(3 * 1024 * 1024);
      await node.writeFile('/root/there.bin', content);
      await cluster().run(kubectl(['cp', '/root/there.bin', 'tools:/tmp/copy.bin']));
      await cluster().run(kubectl(['cp', 'tools:/tmp/copy.bin', '/root/back.bin']));
      const sum = createHash('sha256').update(content).digest('hex');
      expect(await node.run(['sha256sum', '/root/back.bin'])).toContain(sum);
    });
  });
}
