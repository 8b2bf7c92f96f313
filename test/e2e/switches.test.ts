import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { type Cluster, startCluster, unreadyParts } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { startFilesMirror } from '../support/e2e/files-mirror.ts';
import { startPods, testPod } from '../support/e2e/objects.ts';
import { makeOwnUpstream, type OwnUpstream } from '../support/e2e/own-upstream.ts';
import { startPrivateRegistry } from '../support/e2e/private-registry.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { countStrangers, strangersOf, talkToStranger } from '../support/e2e/strangers.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { TestNode } from '../support/node/types.ts';

const DATA_DIRECTORY = '/var/lib/elsewhere';

/** Everything that can be switched off is off, everything that can be named is named. */
const BARE_CONFIG = `
apiVersion: mini-k8s.io/v1alpha1
kind: ClusterConfig
spec:
  api:
    sans: [cluster.example.com, 203.0.113.7]
  node:
    name: edge-7
    labels: { site: north, example.com/tier: small }
  network:
    provider: custom
    kubeProxy: { enabled: false }
  addons:
    coredns: { enabled: false }
    metricsServer: { enabled: false }
`;

/** What a user's own pod network brings: here upstream's simplest plug-ins. */
const OWN_CNI = JSON.stringify({
  cniVersion: '1.0.0',
  name: 'own',
  plugins: [
    {
      type: 'bridge',
      bridge: 'own0',
      isGateway: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/24' }]] },
    },
  ],
});

describe.skipIf(nodeSkipReason() !== undefined)('with everything switched off', () => {
  let node: TestNode;
  let cluster: Cluster | undefined;
  const current = () => {
    if (cluster === undefined) throw new Error('the cluster was not started');
    return cluster;
  };

  beforeAll(async () => {
    node = await createProductNode({ name: 'bare' });
    cluster = await startCluster(node, {
      config: BARE_CONFIG,
      args: ['--data-dir', DATA_DIRECTORY],
    });
    // Without a pod network the node cannot be Ready; everything of ours must be.
    await cluster.waitForStatus(
      (status) => unreadyParts(status).every((part) => part.startsWith('node: KubeletNotReady')),
      { subject: 'all components' },
    );
  });
  afterAll(async () => {
    await node?.destroy();
  });
  explainFailures(() => cluster);

  test('there is no addon, no kube-proxy and no pod network of ours', async () => {
    const status = await current().status();
    expect(status.addons).toEqual([]);
    expect(status.components.map(({ name }) => name)).not.toContain('kube-proxy');
    expect((await node.processes()).map(({ name }) => name)).not.toContain('kube-proxy');
    expect((await current().getJson(['pods', '-A'])).items).toEqual([]);
    const services = await current().kubectl(['get', 'services', '-A', '-o', 'name']);
    expect(services).toBe('service/kubernetes\n');
    expect(await current().kubectl(['get', 'clusterroles', '-o', 'name'])).not.toMatch(
      /kube-router|coredns|metrics-server/,
    );
    expect(await current().run(['ctr', 'images', 'ls', '-q'])).not.toMatch(
      /kube-router|coredns|metrics-server/,
    );
    expect(await node.exists('/etc/cni/net.d/10-kuberouter.conflist')).toBe(false);
    expect(await node.run(['nft', 'list', 'tables'])).not.toContain('kube-proxy');
  });

  test('the node has the name and the labels of the configuration', async () => {
    const { items } = await current().getJson(['nodes']);
    expect(items).toHaveLength(1);
    expect(items[0].metadata.name).toBe('edge-7');
    expect(items[0].metadata.labels).toMatchObject({
      site: 'north',
      'example.com/tier': 'small',
      'node-role.kubernetes.io/control-plane': '',
    });
    expect((await current().status()).node.name).toBe('edge-7');
  });

  test('everything is in the data directory that was named', async () => {
    expect(await node.exists('/var/lib/mini-k8s')).toBe(false);
    expect((await current().status()).supervisor.dataDir).toBe(DATA_DIRECTORY);
    const content = await node.run(['ls', DATA_DIRECTORY]);
    for (const name of ['bin', 'containerd', 'etcd', 'pki', 'store'])
      expect(content).toContain(name);
    const kubeconfig = await current().run(['kubeconfig', 'admin', '--data-dir', DATA_DIRECTORY]);
    expect(kubeconfig).toContain('client-key-data');
    const elsewhere = await node.exec([nodePaths.executable, 'kubeconfig', 'admin']);
    expect(elsewhere.exitCode).toBe(1);
    expect(elsewhere.stderr).toContain('there is no cluster in /var/lib/mini-k8s');
  });

  test("the API's certificate has the names of the configuration", async () => {
    const certificate = await certificateOf(node.address, 6443);
    for (const name of ['cluster.example.com', 'edge-7', 'localhost', 'kubernetes.default.svc']) {
      expect(certificate.checkHost(name), name).toBe(name);
    }
    for (const address of ['203.0.113.7', node.address, '127.0.0.1', '10.96.0.1']) {
      expect(certificate.checkIP(address), address).toBe(address);
    }
    expect(certificate.checkHost('other.example.com')).toBeUndefined();
  });

  test('--dry-run of a node that has keys prints none of them', async () => {
    const plan = await current().run(['controller', '--data-dir', DATA_DIRECTORY, '--dry-run']);
    expect(JSON.parse(plan)).toMatchObject({ nodeName: 'edge-7' });
    const find = ['find', DATA_DIRECTORY, '-name', '*.key', '-type', 'f'];
    const files = (await node.run(find)).trim().split('\n');
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const [first = '', second = ''] = (await node.readFile(file)).split('\n');
      const secret = first.startsWith('-----BEGIN') ? second : first.trim();
      expect(secret.length, file).toBeGreaterThan(20);
      expect(plan.includes(secret), file).toBe(false);
    }
  });

  test("with the user's own CNI the node gets Ready and runs pods", async () => {
    await node.writeFile('/etc/cni/net.d/10-own.conflist', OWN_CNI);
    await current().waitReady();
    await current().importTestImage();
    await startPods(current(), 'own', [testPod({ name: 'first', namespace: 'own' })]);
    const pod = await current().getJson(['pod', 'first', '-n', 'own']);
    expect(pod.status.podIP).toMatch(/^10\.77\.0\./);
    const exec = ['exec', '-n', 'own', 'first', '--', 'hostname'];
    expect(await current().kubectl(exec)).toBe('first\n');
  });

  describe('a reload', () => {
    const configFile = '/etc/mini-k8s/config.yaml';
    const running = async () => {
      const { components } = await current().status();
      return new Map(
        components.map(({ name, state }) => [name, state.type === 'Running' ? state.pid : state]),
      );
    };

    test('restarts only the component whose plan changed, and pods run on', async () => {
      const before = await running();
      const part = 'spec: { kubelet: { maxPods: 33 } }\n';
      await node.writeFile(`${configFile}.d/10-pods.yaml`, part);
      expect(await current().run(['config', 'show', '--origin'])).toContain(
        `maxPods: 33 # ${configFile}.d/10-pods.yaml:1\n`,
      );
      expect(await current().run(['reload'])).toBe(
        'took over spec.kubelet.maxPods; restarted kubelet\n',
      );
      const after = await running();
      const changed = [...after].filter(([name, pid]) => before.get(name) !== pid);
      expect(changed.map(([name]) => name)).toEqual(['kubelet']);
      await waitFor(
        async () => (await current().getJson(['node', 'edge-7'])).status.capacity.pods === '33',
        { subject: 'the kubelet to tell its new number of pods', timeoutMs: 60_000 },
      );
      const pod = await current().getJson(['pod', 'first', '-n', 'own']);
      expect(pod.status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 0 });
    });

    test('refuses what cannot be changed, and the node goes on', async () => {
      const before = await running();
      const part = 'spec: { network: { podCIDR: 10.9.0.0/16 }, kubelet: { maxPods: 44 } }\n';
      await node.writeFile(`${configFile}.d/20-network.yaml`, part);
      const refused = await current().mini(['reload']);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toContain(
        'Cannot change spec.network.podCIDR from 10.244.0.0/16 to 10.9.0.0/16: it is fixed when a cluster is made',
      );
      expect([...(await running())]).toEqual([...before]);
      await node.run(['rm', `${configFile}.d/20-network.yaml`]);
    });

    test('gives containerd a registry with credentials and a CA of its own, for the next pod', async () => {
      const registry = await startPrivateRegistry(node.gateway);
      const asNobody = ['curl', '-sk', '-o', '/dev/null', '-w', '%{http_code}'];
      expect(await node.run([...asNobody, `${registry.base}/v2/`])).toBe('401');
      const before = await running();
      const credentialsFile = '/etc/mini-k8s/registry.lan';
      await node.writeFile(credentialsFile, `${registry.credentials}\n`, 0o600);
      const access = { url: registry.base, ca: registry.ca, credentialsFile };
      const spec = { registries: { 'registry.lan': access } };
      await node.writeFile(`${configFile}.d/20-registries.yaml`, JSON.stringify({ spec }));
      expect(await current().run(['reload'])).toContain('took over spec.registries.registry.lan');
      expect([...(await running())]).toEqual([...before]);
      const pod = testPod({ name: 'private', namespace: 'own', imagePullPolicy: 'IfNotPresent' });
      const image = `registry.lan/${registry.repository}:1`;
      const containers = pod.spec.containers.map((container) => ({ ...container, image }));
      await startPods(current(), 'own', [{ ...pod, spec: { ...pod.spec, containers } }]);
      const { status } = await current().getJson(['pod', 'private', '-n', 'own']);
      expect(status.containerStatuses[0].image).toBe(image);
      expect(await current().run(['config', 'show'])).not.toContain(registry.credentials);
      await node.run(['rm', `${configFile}.d/20-registries.yaml`, credentialsFile]);
    });

    test('comes by SIGHUP too, and containerd gets the proxy', async () => {
      const https = 'http://me:secret@10.255.0.1:3128';
      const spec = { extraArgs: { 'kube-scheduler': { v: 3 } }, proxy: { https } };
      await node.writeFile(`${configFile}.d/30-proxy.yaml`, JSON.stringify({ spec }));
      const before = await running();
      current().process.kill('SIGHUP');
      await current().waitForStatus(
        ({ components }) =>
          components
            .filter(({ name }) => ['kube-scheduler', 'containerd'].includes(name))
            .every(
              ({ name, state }) =>
                state.type === 'Running' && state.ready && state.pid !== before.get(name),
            ),
        { subject: 'another kube-scheduler and another containerd' },
      );
      const after = await running();
      const changed = [...after].filter(([name, pid]) => before.get(name) !== pid);
      expect(changed.map(([name]) => name)).toEqual(['kube-scheduler', 'containerd']);
      const environment = await node.readFile(`/proc/${String(after.get('containerd'))}/environ`);
      expect(environment.split('\0')).toContain(`HTTPS_PROXY=${https}`);
      expect(environment).toMatch(/NO_PROXY=\S*,10\.96\.0\.0\/12,/);
      const plan = await current().run(['controller', '--data-dir', DATA_DIRECTORY, '--dry-run']);
      expect(plan).not.toContain('secret@');
      const pod = await current().getJson(['pod', 'first', '-n', 'own']);
      expect(pod.status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 0 });
    });
  });
});

describe.skipIf(nodeSkipReason() !== undefined)('a controller without workloads', () => {
  let node: TestNode;
  let upstream: OwnUpstream;
  let cluster: Cluster | undefined;

  beforeAll(async () => {
    upstream = await makeOwnUpstream();
    node = await createProductNode({ name: 'planner', binds: upstream.binds });
  });
  afterAll(async () => {
    await node?.destroy();
    await upstream?.remove();
  });
  explainFailures(() => cluster);

  test('--dry-run prints the plan and changes nothing', async () => {
    // The file systems that a node writes to, and not the mounts below them: the bundle, /proc of others.
    const trees = ['/etc', '/opt', '/run', '/srv', '/usr/local', '/var', '/var/lib', '/var/log'];
    const everyFile = ['find', ...trees, '-xdev', '-printf'];
    const files = () => node.run([...everyFile, '%p %y %m %s %T@\\n']);
    const forwarding = () => node.readFile('/proc/sys/net/ipv4/ip_forward');
    const before = { files: await files(), forwarding: await forwarding() };
    const text = await node.run([nodePaths.executable, 'controller', '--dry-run']);
    expect(await files()).toBe(before.files);
    expect(await forwarding()).toBe(before.forwarding);

    const plan = JSON.parse(text);
    expect(plan).toMatchObject({ role: 'controller', nodeName: 'planner', runsWorkloads: true });
    const names = plan.processes.map(({ name }: { name: string }) => name);
    expect(names).toHaveLength(7);
    const stacks = plan.stacks.map(({ name }: { name: string }) => name);
    expect(stacks).toEqual(expect.arrayContaining(['coredns', 'kube-router', 'metrics-server']));
    const configs = plan.files.filter(({ mode }: { mode: number }) => mode === 0o600);
    expect(configs.length).toBeGreaterThan(5);
    for (const { content, path } of configs) expect(content, path).toMatch(/^<\d+ characters/);
    expect(text).not.toContain('PRIVATE KEY');
  });

  test('--dry-run with a wrong configuration says what is wrong, and prints no plan', async () => {
    const config = 'apiVersion: mini-k8s.io/v1alpha1\nkind: ClusterConfig\nspec: { nodes: {} }\n';
    await node.writeFile('/root/wrong.yaml', config);
    const argv = ['controller', '--dry-run', '--config', '/root/wrong.yaml'];
    const result = await node.exec([nodePaths.executable, ...argv]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain('nodes');
    await node.run(['rm', '/root/wrong.yaml']);
  });

  test('artifacts fetch takes everything from the mirror of the configuration, and asks nobody else', async () => {
    const { base, ca, credentials, given } = await startFilesMirror(node.gateway, upstream.files);
    const credentialsFile = '/etc/mini-k8s/mirror-credentials';
    await node.writeFile(credentialsFile, `${credentials}\n`, 0o600);
    const access = { mirror: base, ca, credentialsFile, upstream: { enabled: false } };
    const config = JSON.stringify({ spec: { artifacts: access } });
    await node.writeFile('/etc/mini-k8s/config.yaml', config);
    // Not even itself: a name that is looked up without a name server is asked of 127.0.0.1.
    await countStrangers(node, [node.gateway]);
    const fetch = [...upstream.command, 'artifacts', 'fetch'];
    const { exitCode, stdout, stderr } = await node.exec(fetch, { timeoutMs: 150_000 });
    expect({ exitCode, stderr }, stdout).toEqual({ exitCode: 0, stderr: '' });
    // Each file once, and the executable under test knows all of them by now.
    const list = await node.run([nodePaths.executable, 'artifacts', 'list', '-o', 'json']);
    const rows = JSON.parse(list) as readonly { isPresent: boolean; upstream: { url: string } }[];
    const paths = new Set(rows.map((row) => new URL(row.upstream.url).pathname));
    expect(given.toSorted()).toEqual([...paths].toSorted());
    expect(rows.filter(({ isPresent }) => !isPresent)).toEqual([]);
    expect(await strangersOf(node)).toBe('');
    await talkToStranger(node);
    expect(await strangersOf(node)).toBe('192.0.2.1 . udp');
  });

  test('runs the control plane only, from what the mirror gave, and ends it in order', async () => {
    // The mirror has gone by now.
    cluster = await startCluster(node, { args: ['--no-workloads'], usesBundle: false });
    // The addons are there and wait for the first worker.
    const isWaiting = (part: string) => /^(kube-router|coredns|metrics-server): /.test(part);
    const status = await cluster.waitForStatus(
      (found) =>
        found.addons[0]?.message === 'no node to run on yet' &&
        found.addons.length === 3 &&
        unreadyParts(found).every(isWaiting),
      { subject: 'all components, and kube-router to be applied and without a node' },
    );
    expect(status.node).toMatchObject({ isReady: true, message: 'runs no workloads' });
    const names = (await node.processes()).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['etcd', 'kube-apiserver', 'kube-scheduler']));
    for (const name of ['kubelet', 'containerd', 'kube-proxy']) expect(names).not.toContain(name);
    expect((await cluster.getJson(['nodes'])).items).toEqual([]);
    expect(await node.exists('/var/lib/mini-k8s/bin/kubelet')).toBe(false);
    expect((await cluster.getJson(['namespaces'])).items.length).toBeGreaterThanOrEqual(4);

    expect(await cluster.stop()).toBe(0);
    const left = await waitFor(
      async () => {
        const found = (await node.processes()).map(({ name }) => name);
        return found.some((name) => /^(etcd|kube)/.test(name)) ? undefined : found;
      },
      { subject: 'all processes to end', timeoutMs: 5000 },
    );
    expect(left).not.toContain('etcd');
    const after = await cluster.mini(['status']);
    expect(after.exitCode).toBe(1);
    expect(after.stderr).toContain('mini-k8s does not run on this machine');
  });
});

/** The certificate of whoever listens there; nothing about it is verified here. */
function certificateOf(host: string, port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port, rejectUnauthorized: false, timeout: 5000 }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} did not answer`)));
  });
}
