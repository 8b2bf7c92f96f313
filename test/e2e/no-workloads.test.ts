import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster, unreadyParts } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../support/e2e/worker.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { Site, TestNode } from '../support/node/types.ts';

const mirrors = '/etc/mini-k8s/registries/_default/hosts.toml';

// The controller runs no pod and has the only bundle; the worker has no bundle, and nobody has the internet.
describe.skipIf(nodeSkipReason() !== undefined)(
  'a controller without workloads, and a worker that has everything from it',
  { timeout: 180_000 },
  () => {
    let site: Site;
    let nodes: TestNode[] = [];
    let cluster: Cluster;
    let worker: Worker;

    beforeAll(async () => {
      site = await createSite('served');
      const network = { site };
      const controller = await createProductNode({ name: 'served-control', network });
      nodes.push(controller);
      const edge = await createProductNode({ name: 'served-edge', network });
      nodes.push(edge);
      cluster = await startCluster(controller, { args: ['--no-workloads'] });
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

    test('the worker takes over what it may say itself, and restarts only its kubelet', async () => {
      const pids = async () =>
        (await worker.status()).components.map(({ name, state }) => [
          name,
          state.type === 'Running' ? state.pid : state,
        ]);
      const before = new Map((await pids()).map(([name, pid]) => [name, pid]));
      const reload = () => worker.node.exec([nodePaths.executable, 'reload']);
      const part = (spec: object) =>
        worker.node.writeFile('/etc/mini-k8s/config.yaml.d/10.yaml', JSON.stringify({ spec }));
      await part({ network: { clusterDomain: 'elsewhere' } });
      expect((await reload()).stderr).toContain(
        "spec.network.clusterDomain: is the cluster's, and a worker has it from there",
      );
      const mirrored = { 'registry.lan:5000': { mirrors: [{ url: 'http://10.255.0.9:5000' }] } };
      await part({ kubelet: { maxPods: 22 }, registries: mirrored });
      expect(await reload()).toMatchObject({
        exitCode: 0,
        stdout:
          'took over spec.registries.registry.lan:5000, spec.kubelet.maxPods; restarted kubelet\n',
      });
      const changed = (await pids()).filter(([name, pid]) => before.get(name) !== pid);
      expect(changed.map(([name]) => name)).toEqual(['kubelet']);
      const file = '/etc/mini-k8s/registries/registry.lan:5000/hosts.toml';
      const hosts = await worker.node.readFile(file);
      expect(hosts).toMatch(
        /\[host\."https:\/\/.*:9443"\][\s\S]*\[host\."http:\/\/10\.255\.0\.9:5000"\]/,
      );
      const foreign = '/etc/mini-k8s/registries/quay.io/hosts.toml';
      await worker.node.writeFile(foreign, 'server = "https://quay.lan"\n');
      await part({ registries: { 'quay.io': mirrored['registry.lan:5000'] } });
      expect((await reload()).stderr).toContain(
        `Cannot write ${foreign}: it is there, and mini-k8s did not write it`,
      );
      expect(await worker.node.readFile(foreign)).toBe('server = "https://quay.lan"\n');
      expect(await worker.node.readFile(file)).toBe(hosts);
      await worker.node.run(['rm', '-r', '/etc/mini-k8s/config.yaml.d', path.dirname(foreign)]);
      expect((await reload()).exitCode).toBe(0);
      expect(await worker.node.exists(file)).toBe(false);
    });

    test('a reset takes the mirrors away', async () => {
      expect(await worker.stop()).toBe(0);
      await worker.node.run([nodePaths.executable, 'reset', '--yes']);
      expect(await worker.node.exists(mirrors)).toBe(false);
      expect(await worker.node.exists('/etc/mini-k8s/registries')).toBe(false);
    });
  },
);
