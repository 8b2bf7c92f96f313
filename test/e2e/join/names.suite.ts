import { afterAll, describe, expect, test } from 'vitest';
import { parseJoinToken } from '../../../src/join/token.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../../support/e2e/worker.ts';
import type { TestNode } from '../../support/node/types.ts';
import type { JoinScene } from './scene.ts';

/** By which names machines are nodes. Leaves `edge-1`, whose machine is gone. */
export function describeNames(scene: () => JoinScene): void {
  describe('a machine', () => {
    let worker: Worker | undefined;
    const join = async (node: TestNode, token: string, ...args: readonly string[]) =>
      node.exec([nodePaths.executable, 'worker', '--token', '-', ...args], { input: token });

    afterAll(async () => {
      // As one whose disk has died: nothing is said to anybody.
      await scene().first.destroy();
    });

    test('joins with a name, labels and taints of its own', async () => {
      const { cluster, first } = scene();
      const token = await createToken(cluster);
      worker = await startWorker(first, {
        nodeName: 'edge-1',
        env: { MINI_K8S_TOKEN: token },
        args: [
          '--labels',
          'example.com/rack=r1,size=small',
          '--taints',
          'slow=yes:PreferNoSchedule',
        ],
      });
      await worker.waitReady();
      const node = await cluster.getJson(['node', 'edge-1']);
      expect(node.metadata.labels).toMatchObject({ 'example.com/rack': 'r1', size: 'small' });
      expect(node.spec.taints).toContainEqual({
        key: 'slow',
        value: 'yes',
        effect: 'PreferNoSchedule',
      });
      await expectNoTrace(first, worker, parseJoinToken(token).secret);
    });

    test('that has the name of one that lives is refused, with both machine ids', async () => {
      const { cluster, first, spare } = scene();
      const { exitCode, stderr } = await join(
        spare,
        await createToken(cluster),
        '--node-name',
        'edge-1',
      );
      const [theirs, own] = await Promise.all([first, spare].map(machineId));
      expect(exitCode).toBe(1);
      expect(stderr).toContain(
        `the node name edge-1 is taken: machine ${theirs} has it and is alive, and this is machine ${own}`,
      );
      expect(stderr).toContain(
        'fix: give this machine another name with --node-name; if it replaces the other one: mini-k8s node remove edge-1',
      );
      const controller = await join(
        spare,
        await createToken(cluster),
        '--node-name',
        cluster.node.name,
      );
      expect(controller.stderr).toContain(
        `the node name ${cluster.node.name} is taken by a node that did not join with a token, such as a controller`,
      );
    });

    test('has its host name in lower case, unless that is no node name', async () => {
      const { cluster, spare } = scene();
      const token = await createToken(cluster);
      try {
        await setHostname(spare, 'Edge-SPARE');
        const plan = await join(spare, token, '--dry-run');
        expect(JSON.parse(plan.stdout)).toMatchObject({ nodeName: 'edge-spare' });
        await setHostname(spare, 'edge_spare');
        const refused = await join(spare, token);
        expect(refused.stderr).toContain(
          'error: Cannot name this node: "edge_spare" is not a node name',
        );
        expect(refused.stderr).toContain('fix: choose one with --node-name');
      } finally {
        await setHostname(spare, spare.name);
      }
    });

    test('runs one node: a second worker, and a worker on a controller, say which process it is', async () => {
      const { cluster, first } = scene();
      const token = await createToken(cluster);
      const { supervisor } = (await worker?.status()) ?? { supervisor: { pid: 0 } };
      expect((await join(first, token)).stderr).toContain(
        `error: Cannot start the worker: pid ${supervisor.pid} (worker, data directory /var/lib/mini-k8s, since `,
      );
      const { pid } = (await cluster.status()).supervisor;
      expect((await join(cluster.node, token)).stderr).toContain(
        `error: Cannot start the worker: pid ${pid} (controller, data directory /var/lib/mini-k8s, since `,
      );
      const elsewhere = await join(first, token, '--data-dir', '/var/lib/elsewhere');
      expect(elsewhere.stderr).toContain(`pid ${supervisor.pid} (worker, `);
    });
  });
}

/** `hostname` would not let everything pass. */
async function setHostname(node: TestNode, name: string): Promise<void> {
  const script = 'echo "$1" > /proc/sys/kernel/hostname';
  await node.run(['sh', '-c', script, 'set', name]);
}

async function machineId(node: TestNode): Promise<string> {
  return (await node.readFile('/etc/machine-id')).trim();
}

/** Neither on the disk nor in any process but the one that was given it by its environment. */
async function expectNoTrace(node: TestNode, worker: Worker, secret: string): Promise<void> {
  expect(worker.process.output()).not.toContain(secret);
  const own = (await worker.status()).supervisor.pid;
  const script = `grep -rlF ${secret} /var/lib/mini-k8s/{etc,pki,state} /var/lib/kubelet /etc /run /tmp 2>/dev/null
    for p in /proc/[0-9]*; do
      case $p in /proc/${own} | /proc/$$) continue ;; esac
      cat $p/environ $p/cmdline 2>/dev/null | grep -aqF ${secret} && echo "in $p"
    done
    tr '\\0' '\\n' < /proc/${own}/cmdline; true`;
  const found = await node.run(['bash', '-s'], { input: script });
  expect(found.trim()).toBe('mini-k8s worker');
}
