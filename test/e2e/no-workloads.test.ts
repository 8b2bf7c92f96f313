import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster, unreadyParts } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { testPod } from '../support/e2e/objects.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { makeRidingBundle, type RidingBundle } from '../support/e2e/riding-bundle.ts';
import { createToken, startWorker, type Worker } from '../support/e2e/worker.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { Site, TestNode } from '../support/node/types.ts';

const mirrors = '/etc/mini-k8s/registries/_default/hosts.toml';

// The controller runs no pod and has the only bundle, signed, in one file; the worker has none, and nobody has the internet.
describe.skipIf(nodeSkipReason() !== undefined)(
  'a controller without workloads, and a worker that has everything from it',
  { timeout: 180_000 },
  () => {
    let site: Site;
    let nodes: TestNode[] = [];
    let cluster: Cluster;
    let worker: Worker;
    let bundle: RidingBundle | undefined;

    beforeAll(async () => {
      // The image is pulled by a policy that would ask its registry, if the controller did not have it.
      const pod = testPod({
        name: 'riding',
        namespace: 'default',
        imagePullPolicy: 'IfNotPresent',
      });
      bundle = await makeRidingBundle([pod]);
      site = await createSite('served');
      const network = { site };
      const controller = await createProductNode({
        ...{ name: 'served-control', network },
        binds: [bundle.bind],
      });
      nodes.push(controller);
      const edge = await createProductNode({ name: 'served-edge', network });
      nodes.push(edge);
      await countStrangers([controller, edge], site);
      cluster = await startCluster(controller, {
        args: ['--no-workloads', ...bundle.args],
        usesBundle: false,
      });
      const isAddon = (part: string) => /^(kube-router|coredns|metrics-server): /.test(part);
      await cluster.waitForStatus(
        (found) => found.addons.length === 3 && unreadyParts(found).every(isAddon),
        { subject: 'all components' },
      );
      worker = await startWorker(edge, { token: await createToken(cluster) });
      await worker.waitReady();
    }, 280_000);
    afterAll(async () => {
      for (const node of nodes) await node.destroy();
      await site?.destroy();
      await bundle?.remove();
      nodes = [];
    });
    explainFailures(() => cluster);

    test('executables and images came from the controller, which lacks none and runs none', async () => {
      expect(await cluster.node.exists('/var/lib/mini-k8s/bin/kubelet')).toBe(false);
      expect(cluster.process.output()).not.toContain('workers cannot have');
      expect(await worker.node.exists('/var/lib/mini-k8s/bin/kubelet')).toBe(true);
      expect(worker.process.output()).not.toContain('no source has');
    });

    test('containerd pulls the rest through the mirror, so that all addons are Ready', async () => {
      await cluster.waitForStatus(
        ({ addons }) => addons.length === 3 && addons.every(({ isReady }) => isReady),
        { subject: 'the addons on the worker', timeoutMs: 120_000 },
      );
      expect(await worker.node.exists(mirrors)).toBe(true);
    });

    test('what rode along in the bundle runs: manifests of the controller, an image from it', async () => {
      const running = ['--for=condition=Ready', 'pod/riding', '--timeout=60s'];
      await cluster.kubectl(['wait', '-n', 'default', ...running]);
    });

    test('nobody tried to reach anything outside', async () => {
      for (const node of nodes) {
        expect(await strangersOf(node), node.name).toBe('');
        // Whoever tries is seen.
        await node.run(['bash', '-c', 'echo > /dev/udp/192.0.2.1/9']);
        expect(await strangersOf(node)).toBe('192.0.2.1 . udp');
      }
    });

    test('a reset takes the mirrors away', async () => {
      expect(await worker.stop()).toBe(0);
      await worker.node.run([nodePaths.executable, 'reset', '--yes']);
      expect(await worker.node.exists(mirrors)).toBe(false);
      expect(await worker.node.exists('/etc/mini-k8s/registries')).toBe(false);
    });
  },
);

/** From now on each node remembers to whom it wanted to talk that is neither of this site nor of its cluster. */
async function countStrangers(nodes: readonly TestNode[], { subnet }: Site): Promise<void> {
  const known = `{ ${subnet}, 10.96.0.0/12, 10.244.0.0/16, 127.0.0.0/8, 224.0.0.0/4 }`;
  const rules = `table ip edge {
    set strangers { type ipv4_addr . inet_proto; size 1000; flags dynamic; }
    chain out {
      type filter hook postrouting priority 0;
      ip daddr != ${known} ct state new add @strangers { ip daddr . meta l4proto }
    }
  }`;
  for (const node of nodes) await node.run(['nft', '-f', '-'], { input: rules });
}

async function strangersOf(node: TestNode): Promise<string> {
  const set = await node.run(['nft', 'list', 'set', 'ip', 'edge', 'strangers']);
  return /elements = \{([^}]*)\}/.exec(set)?.[1]?.trim() ?? '';
}
