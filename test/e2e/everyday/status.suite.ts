import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { waitFor } from '../../../src/base/time.ts';
import type { MachineReport } from '../../../src/node/examine-machine.ts';
import type { Cluster } from '../../support/e2e/cluster.ts';
import { nodePaths } from '../../support/e2e/product.ts';

const PROCESSES = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'containerd',
  'kubelet',
  'kube-proxy',
];
const MEBIBYTE = 1024 ** 2;

/** What `mini-k8s` says about itself and its node. */
export function describeStatus(cluster: () => Cluster): void {
  describe('status and versions', () => {
    test('all seven components run as processes of their own, and none had to restart', async () => {
      const { components } = await cluster().status();
      const running = new Map((await cluster().node.processes()).map(({ name }) => [name, true]));
      for (const name of PROCESSES) {
        const row = components.find((component) => component.name === name);
        expect(row, name).toMatchObject({
          restartCount: 0,
          state: { type: 'Running', ready: true },
        });
        expect(row?.anonymousBytes ?? 0, name).toBeGreaterThan(2 * MEBIBYTE);
        expect(running.has(name.slice(0, 15)), `process ${name}`).toBe(true);
      }
    });

    test('the addons are Ready, and their pods never restarted', async () => {
      const { addons } = await cluster().status();
      expect(addons.map(({ name, isReady }) => `${name} ${isReady}`)).toEqual(
        expect.arrayContaining(['kube-router true', 'coredns true', 'metrics-server true']),
      );
      const pods = await cluster().getJson(['pods', '-n', 'kube-system']);
      expect(pods.items).toHaveLength(3);
      for (const pod of pods.items) {
        const [container] = pod.status.containerStatuses;
        expect(container, pod.metadata.name).toMatchObject({ ready: true, restartCount: 0 });
      }
    });

    test('the node is Ready, and has the role and the size that it should have', async () => {
      const { node } = cluster();
      const found = await cluster().getJson(['node', node.name]);
      expect(found.metadata.labels).toHaveProperty(['node-role.kubernetes.io/control-plane'], '');
      expect(found.spec.taints ?? []).toEqual([]);
      expect(found.status.capacity).toMatchObject({ cpu: '1', memory: '1Gi' });
      expect(found.status.addresses).toContainEqual({ type: 'InternalIP', address: node.address });
      const ready = found.status.conditions.find(
        (entry: { type: string }) => entry.type === 'Ready',
      );
      expect(ready.status).toBe('True');
      expect((await node.memory()).oomKills).toBe(0);
    });

    test('status knows its certificates and when they expire', async () => {
      const { certificates } = await cluster().status();
      expect(certificates.length).toBeGreaterThan(10);
      for (const certificate of certificates) {
        expect(certificate.state, certificate.file).toBe('valid');
        if (!('notAfter' in certificate)) continue;
        const days = (Date.parse(certificate.notAfter) - Date.now()) / 86_400_000;
        expect(certificate.daysLeft).toBe(Math.floor(days));
        expect(days).toBeGreaterThan(300);
      }
    });

    test('status tells of the program itself and where the components come from', async () => {
      const status = await cluster().status();
      expect(status).toMatchObject({
        kubernetesVersion: artifacts.components.kubernetes.version,
        node: { name: 'everyday', role: 'controller', isReady: true },
        supervisor: { builtFrom: 'source', dataDir: '/var/lib/mini-k8s' },
      });
      const anonymousBytes = status.supervisor.anonymousBytes ?? 0;
      expect(anonymousBytes).toBeGreaterThan(5 * MEBIBYTE);
      expect(anonymousBytes).toBeLessThan(100 * MEBIBYTE);
    });

    test('status prints the same as YAML, and as text for people', async () => {
      const asYaml = parse(await cluster().run(['status', '-o', 'yaml']));
      const { version, kubernetesVersion, node } = await cluster().status();
      expect(asYaml).toMatchObject({ version, kubernetesVersion, node });
      const text = await cluster().run(['status']);
      expect(text).toMatch(/✓ node everyday \(controller, [\d.]+\) is Ready/);
      expect(text).toContain('components built from source');
      expect(text).toMatch(/kube-apiserver +Running \(pid \d+\) +0 +\d+ MiB/);
      expect(text).toMatch(/metrics-server +yes/);
      expect(text).toMatch(/expires first, in 36\d days/);
    });

    test('doctor finds nothing that failed, knows the ports as its own, and puts back a changed setting', async () => {
      const { node } = cluster();
      const changed = '/proc/sys/kernel/panic';
      await node.run(['sh', '-c', `echo 5 > ${changed}`]);
      const said = await cluster().run(['doctor', '--repair', '-o', 'json']);
      const { isHealthy, checks, repairs, ...report } = JSON.parse(said) as MachineReport;
      expect(checks.filter(({ state }) => state === 'fail')).toEqual([]);
      expect(repairs).toEqual([
        { probe: 'settings', what: 'set kernel.panic to 10', outcome: 'done' },
      ]);
      expect((await node.readFile(changed)).trim()).toBe('10');
      const { supervisor } = await cluster().status();
      expect({ isHealthy, ...report }).toMatchObject({
        isHealthy: true,
        role: 'controller',
        isRunning: true,
        supervisorPid: supervisor.pid,
      });
      const find = (probe: string) => checks.filter((check) => check.probe === probe);
      expect(find('ports')).toMatchObject([
        { state: 'ok', what: expect.stringMatching(/^nobody but this node listens on 2379,/) },
      ]);
      expect(find('settings')).toMatchObject([{ state: 'ok' }]);
      expect(find('certificates')).toMatchObject([
        { what: expect.stringMatching(/^all \d+ are valid/) },
      ]);
      expect(find('keys')).toMatchObject([{ state: 'ok' }]);
      expect(find('store')).toMatchObject([{ what: expect.stringContaining('is sound') }]);

      const nobody = ['setpriv', '--reuid', '65534', '--clear-groups'];
      const asNobody = await node.exec([...nobody, nodePaths.executable, 'doctor']);
      expect(asNobody).toMatchObject({ exitCode: 0, stderr: '' });
      expect(asNobody.stdout).toMatch(/- ports +not looked at: only root sees whether this node/);
    });

    test('tunnel status says that no worker is there, with exit code 0', async () => {
      const report = await cluster().run(['tunnel', 'status', '-o', 'json']);
      expect(JSON.parse(report)).toEqual({ node: 'everyday', role: 'controller', tunnels: [] });
      expect(await cluster().run(['tunnel', 'status'])).toContain('mini-k8s token create');
    });

    test('a format that is not there is refused, and the formats are named', async () => {
      const result = await cluster().mini(['status', '-o', 'xml']);
      expect(result).toMatchObject({ exitCode: 1, stdout: '' });
      expect(result.stderr).toContain('error: Cannot print in format "xml"');
      expect(result.stderr).toContain('fix: use -o json or -o yaml');
    });

    test('version names everything that runs, as it really is', async () => {
      const versions = JSON.parse(await cluster().run(['version', '-o', 'json']));
      const { kubernetes, etcd, containerd, runc } = artifacts.components;
      expect(versions).toMatchObject({
        kubernetes: kubernetes.version,
        etcd: etcd.version,
        containerd: containerd.version,
        runc: runc.version,
        'kube-router': artifacts.images['kube-router'].tag.replace('v', ''),
      });
      const server = JSON.parse(await cluster().kubectl(['version', '-o', 'json'])).serverVersion;
      expect(server.gitVersion).toBe(`v${versions.kubernetes}`);
      const nodes = await cluster().getJson(['nodes']);
      const { kubeletVersion, containerRuntimeVersion } = nodes.items[0].status.nodeInfo;
      expect(kubeletVersion).toBe(`v${versions.kubernetes}`);
      expect(containerRuntimeVersion).toBe(`containerd://${versions.containerd}`);
      expect(await cluster().run(['--version'])).toBe(`${versions['mini-k8s']}\n`);
    });

    test('the default configuration is valid, and a wrong one is told every problem at once', async () => {
      const { node } = cluster();
      await node.writeFile('/root/default.yaml', await cluster().run(['config', 'default']));
      expect(await cluster().run(['config', 'validate', '/root/default.yaml'])).toContain(
        'is valid',
      );

      const wrong = (await node.readFile('/root/default.yaml'))
        .replace('podCIDR: 10.244.0.0/16', 'podCIDR: 10.244.0.1/16')
        .replace('hardening: default', 'hardning: cis');
      await node.writeFile('/root/wrong.yaml', wrong);
      const refused = await cluster().mini(['config', 'validate', '/root/wrong.yaml']);
      expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refused.stderr).toContain('spec.network.podCIDR');
      expect(refused.stderr).toContain('hardning');
    });

    test('metrics reach kubectl top', async () => {
      const top = async (args: readonly string[]) =>
        (await cluster().mini(['kubectl', 'top', ...args, '--no-headers'])).stdout;
      const rowOf = (what: readonly string[], pattern: RegExp) =>
        waitFor(async () => pattern.exec(await top(what)) ?? undefined, {
          subject: `kubectl top ${what.join(' ')}`,
          timeoutMs: 60_000,
          intervalMs: 1000,
        });
      const node = await rowOf(['nodes'], /^everyday +(\d+)m +\d+% +(\d+)Mi/m);
      expect(Number(node[2])).toBeGreaterThan(200);
      expect(Number(node[2])).toBeLessThan(1024);
      const pod = await rowOf(['pods', '-n', 'kube-system'], /^coredns-\S+ +\d+m +(\d+)Mi/m);
      expect(Number(pod[1])).toBeGreaterThan(2);
    });
  });
}
