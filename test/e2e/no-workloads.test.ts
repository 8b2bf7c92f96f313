import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster, unreadyParts } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { testPod } from '../support/e2e/objects.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { makeRidingBundle, type RidingBundle } from '../support/e2e/riding-bundle.ts';
import { countStrangers, strangersOf, talkToStranger } from '../support/e2e/strangers.ts';
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
      const ofCluster = ['10.96.0.0/12', '10.244.0.0/16', '127.0.0.0/8', '224.0.0.0/4'];
      for (const node of nodes) await countStrangers(node, [site.subnet, ...ofCluster]);
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
        await talkToStranger(node);
        expect(await strangersOf(node)).toBe('192.0.2.1 . udp');
      }
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
