import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { parseJoinToken } from '../../src/join/token.ts';
import { pagesAt, runPage } from '../support/e2e/docs.ts';
import { runningComponents } from '../support/e2e/faults.ts';
import { compareSnapshots, type MachineSnapshot } from '../support/e2e/faults-snapshot.ts';
import {
  prepareForSnapshots,
  slowContainer,
  slowFile,
  slowToEnd,
  snapshotInstallation,
} from '../support/e2e/installation.ts';
import {
  bootMachine,
  downloadedBundle,
  downloads,
  explainMachines,
  type Machine,
  powerOff,
} from '../support/e2e/machine.ts';
import { startPods } from '../support/e2e/objects.ts';
import { testImage } from '../support/e2e/product.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { NodeOptions, Site } from '../support/node/types.ts';

const unitFile = '/etc/systemd/system/mini-k8s.service';
const installTimeoutMs = 200_000;
const mebibyte = 1024 * 1024;
/** A bundle in which nothing is but the image of the tests' pods. */
const testBundle = `${downloads.testImages}/busybox.tar`;

// One story in order: what goes wrong, an installation, its changes, a reboot, its end; then a cluster of two machines.
describe.skipIf(nodeSkipReason() !== undefined)(
  'install under systemd',
  { timeout: 240_000 },
  () => {
    let site: Site;
    let network: NonNullable<NodeOptions['network']>;
    let machine: Machine;
    let worker: Machine | undefined;
    let untouched: MachineSnapshot;
    let untouchedWorker: MachineSnapshot;
    const install = (...args: readonly string[]) =>
      machine.download(['controller', 'install', ...downloadedBundle(), ...args], {
        timeoutMs: installTimeoutMs,
      });
    const installWithFree = async (freeBytes: number) => {
      const available = ['df', '--output=avail', '-B1', '/var/lib'];
      const free = Number((await machine.node.run(available)).split('\n')[1]);
      await machine.node.run(['fallocate', '-l', String(free - freeBytes), '/var/lib/ballast']);
      try {
        return await install();
      } finally {
        await machine.node.run(['rm', '/var/lib/ballast']);
      }
    };
    const changes = async () => compareSnapshots(untouched, await snapshotInstallation(machine));

    beforeAll(async () => {
      site = await createSite('install');
      network = { site, address: site.nextAddress() };
      machine = await bootMachine('systemd', { name: 'install', network });
      await prepareForSnapshots(machine);
      untouched = await snapshotInstallation(machine);
    });
    afterAll(async () => {
      await worker?.node.destroy();
      await machine?.node.destroy();
      await site?.destroy();
    });
    explainMachines(() => [machine, worker]);

    test('a dry run shows every file, and changes nothing', async () => {
      const { exitCode, stdout, stderr } = await install('--dry-run', '--debug');
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(stdout).toContain('--- /usr/local/bin/mini-k8s (mode 0755)');
      expect(stdout).toContain(`--- ${unitFile} (mode 0644)`);
      expect(stdout).toContain('ExecStart=/usr/local/bin/mini-k8s controller --debug\n');
      expect(stdout).toContain('--- user etcd');
      expect(await changes()).toEqual([]);
    });

    test('what cannot be installed is refused with what, why and fix', async () => {
      const { node } = machine;
      const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const nobody = await node.exec([...asNobody, downloads.executable, 'controller', 'install']);
      expect(nobody).toMatchObject({ exitCode: 1, stdout: '' });
      expect(nobody.stderr).toBe(
        'error: Cannot install the controller: it needs root, and this is uid 65534\nfix: run it with sudo\n',
      );
      await node.writeFile('/etc/systemd/system/k3s.service', '[Service]\nExecStart=/bin/true\n');
      await node.writeFile('/etc/kubernetes/admin.conf', 'of kubeadm');
      const { exitCode, stderr } = await install();
      expect(exitCode).toBe(1);
      expect(stderr).toContain('K3s is on this machine: /etc/systemd/system/k3s.service is there');
      expect(stderr).toContain('fix: remove it first: kubeadm reset');
      await node.run(['rm', '-r', '/etc/systemd/system/k3s.service', '/etc/kubernetes']);
      const noToken = await machine.download(['worker', 'install']);
      expect(noToken.exitCode).toBe(1);
      expect(noToken.stderr).toContain('this machine has not joined a cluster yet');
      await node.writeFile('/root/wrong.yaml', 'spec: {network: {podCIDR: x}, nonsense: 1}\n');
      const wrong = await install('--config', '/root/wrong.yaml');
      expect(wrong.exitCode).toBe(1);
      expect(wrong.stderr.match(/^error: /gm)?.length, wrong.stderr).toBeGreaterThan(1);
      expect(await changes()).toEqual([]);
    });

    test('a disk that fills up half-way leaves the machine as it was', async () => {
      const total = await machine.node.run(['du', '-sb', downloads.bundle]);
      // Room for the components, and not for the executable.
      const result = await installWithFree(Number(total.split('\t')[0]) + 50 * mebibyte);
      expect(result.exitCode, result.stdout).toBe(1);
      expect(result.stderr).toContain(
        'Cannot install the controller: the file system is full; the machine is as it was\nfix: make room',
      );
      expect(await changes()).toEqual([]);
    });

    test('a disk without room for the components is found before anything is written', async () => {
      const { exitCode, stderr } = await installWithFree(300 * mebibyte);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^error: Cannot import .*\nfix: free space on that file system/m);
      expect(await changes()).toEqual([]);
    });

    test('Ctrl-C half-way leaves the machine as it was', async () => {
      const running = startInstall(machine);
      await waitForStore(machine);
      running.kill('SIGINT');
      expect(await running.exited, running.output()).toBe(1);
      expect(running.output()).toContain(
        'Cannot install the controller: interrupted by SIGINT; the machine is as it was',
      );
      expect(await changes()).toEqual([]);
    });

    test('after a SIGKILL half-way, an installation works, and everything is Ready', async () => {
      const killed = startInstall(machine);
      await waitForStore(machine);
      killed.kill('SIGKILL');
      await killed.exited;
      const { exitCode, stdout, stderr } = await install();
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('✓ metrics-server is Ready');
      expect(stdout).toContain('✓ the cluster is ready');
      const unit = await machine.node.readFile(unitFile);
      expect(unit).toMatch(/^ExecStart=\/usr\/local\/bin\/mini-k8s controller$/m);
      const etcd = (await runningComponents(machine.node))['etcd']?.[0];
      expect(await machine.node.run(['ps', '-o', 'user=', '-p', String(etcd)])).toBe('etcd\n');
      const state = await machine.node.run(['systemctl', 'is-active', 'mini-k8s']);
      expect(state).toBe('active\n');
    });

    test('a second time it changes nothing, and restarts nothing', async () => {
      const before = await runningComponents(machine.node);
      expect(await install()).toEqual({
        exitCode: 0,
        stdout: 'Nothing to change: the controller is installed and running.\n',
        stderr: '',
      });
      expect(await runningComponents(machine.node)).toEqual(before);
    });

    test('a new bundle on a running node brings what rides in it', async () => {
      const inspect = ['bundle', 'inspect', testBundle, '-o', 'json'];
      const said = await machine.node.run([downloads.executable, ...inspect]);
      const { indexSha256 } = JSON.parse(said) as { readonly indexSha256: string };
      const args = ['--bundle', testBundle, '--trust-bundle', indexSha256];
      const again = () =>
        machine.download(['controller', 'install', ...args], { timeoutMs: installTimeoutMs });
      const { exitCode, stdout, stderr } = await again();
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toMatch(
        new RegExp(`^\\+ image ${testImage} \\(\\w+\\) from the bundle$`, 'm'),
      );
      expect(stdout).toContain('✓ the cluster is ready');
      expect((await again()).stdout).toBe(
        'Nothing to change: the controller is installed and running.\n',
      );
      // The next test's pod has it from there.
      const images = ['ctr', 'images', 'list', '--quiet'];
      const isThere = async () => (await machine.run(images)).includes(`${testImage}\n`);
      await waitFor(isThere, { subject: 'the image in containerd', timeoutMs: 60_000 });
    });

    test('another role is refused while this one is installed', async () => {
      const { exitCode, stderr } = await machine.download(['worker', 'install']);
      expect(exitCode).toBe(1);
      expect(stderr).toContain('Cannot install the worker: this machine is a controller\n');
      expect(stderr).toContain('fix: mini-k8s uninstall --yes first');
    });

    test('a newer build with other flags replaces the installed one, and pods run on', async () => {
      await startPods(machine, 'shop', [slowToEnd('exec')]);
      const pod = await machine.kubectl(slowContainer);
      const shims = (await runningComponents(machine.node))['containerd-shim-runc-v2'];
      // An executable does not mind what follows its end.
      const newer = '/root/newer';
      await machine.node.run([
        'sh',
        '-c',
        `cp ${downloads.executable} ${newer} && echo >> ${newer}`,
      ]);
      const { exitCode, stdout, stderr } = await machine.node.exec(
        [newer, 'controller', 'install', '--config', await defaultConfig(machine)],
        { timeoutMs: installTimeoutMs },
      );
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('~ /usr/local/bin/mini-k8s (another build)\n');
      expect(stdout).toContain('    -ExecStart=/usr/local/bin/mini-k8s controller\n');
      expect(stdout).toContain(
        '    +ExecStart=/usr/local/bin/mini-k8s controller --config /etc/mini-k8s/config.yaml\n',
      );
      await machine.node.run(['cmp', newer, '/usr/local/bin/mini-k8s']);
      await machine.node.run(['cmp', downloads.executable, '/usr/local/lib/mini-k8s/previous']);
      expect((await runningComponents(machine.node))['containerd-shim-runc-v2']).toEqual(shims);
      expect(await machine.kubectl(slowContainer)).toBe(pod);
    });

    test('systemctl reload takes a part of the configuration over', async () => {
      const part = 'spec: { kubelet: { maxPods: 60 } }\n';
      await machine.node.writeFile('/etc/mini-k8s/config.yaml.d/10-pods.yaml', part);
      const schema = JSON.parse(await machine.node.readFile('/etc/mini-k8s/config.schema.json'));
      expect(schema.properties.spec.properties.kubelet.type).toBe('object');
      const { kubelet, ...others } = await runningComponents(machine.node);
      await machine.node.run(['systemctl', 'reload', 'mini-k8s']);
      const after = await runningComponents(machine.node);
      expect(after['kubelet']).not.toEqual(kubelet);
      expect(after).toMatchObject(others);
    });

    test('logs shows the service, or one component', async () => {
      const { version } = await machine.status();
      expect(version).not.toBe('');
      expect(await machine.run(['logs'])).toContain('the node and all addons are Ready');
      expect(await machine.run(['logs', '--since', '2000-01-01'])).toContain(
        '[kubelet] ready after',
      );
      expect(await machine.run(['logs', 'kube-apiserver'])).toContain('Serving securely');
      // As when the file was full, and began again.
      await machine.node.writeFile('/run/mini-k8s/log/kube-scheduler.log.1', 'said before\n');
      expect(await machine.run(['logs', 'kube-scheduler'])).toMatch(/^said before\n./);
      const unknown = await machine.node.exec(['/usr/local/bin/mini-k8s', 'logs', '../etcd']);
      expect(unknown.exitCode).toBe(1);
      expect(unknown.stderr).toContain('fix: mini-k8s status lists the components');
    });

    test.each(pagesAt('installed'))('the commands of %s work', async (file, blocks) => {
      await runPage(machine.node, file, blocks);
    });

    test('a machine that goes down gives pods their grace period, and comes back with them', async () => {
      const dropIn = '/etc/systemd/system/mini-k8s.service.d/test.conf';
      await machine.node.writeFile(dropIn, '[Service]\nWatchdogSec=10\n');
      const elapsedMs = await powerOff(machine);
      expect(elapsedMs).toBeLessThan(60_000);
      await machine.node.destroy({ keepDirectory: true });
      machine = await bootMachine('systemd', { name: 'install', network });
      expect(await machine.node.readFile(slowFile)).toBe('started\nwarned\nended\n');
      await machine.waitReady();
      await machine.kubectl([
        '-n',
        'shop',
        'wait',
        '--for=condition=Ready',
        'pod/slow',
        '--timeout=60s',
      ]);
      expect(await machine.node.readFile(slowFile)).toBe('started\nwarned\nended\nstarted\n');
    });

    test('a supervisor that hangs is started again, and pods run on', async () => {
      const { pid } = (await machine.status()).supervisor;
      const pod = await machine.kubectl(slowContainer);
      await machine.node.run(['kill', '-STOP', String(pid)]);
      await waitFor(
        async () => {
          const current = await machine.node.run([
            ...['systemctl', 'show', '--property=MainPID', '--value', 'mini-k8s'],
          ]);
          return Number(current) !== 0 && Number(current) !== pid;
        },
        { subject: 'systemd to start the supervisor again', timeoutMs: 40_000 },
      );
      await machine.waitReady();
      expect(await machine.kubectl(slowContainer)).toBe(pod);
    });

    test('stop leaves pods, stop --with-pods leaves none', async () => {
      await machine.run(['stop']);
      const stopped = await runningComponents(machine.node);
      expect(Object.keys(stopped)).toEqual(['containerd-shim-runc-v2']);
      await machine.run(['stop', '--with-pods']);
      expect(await runningComponents(machine.node)).toEqual({});
      expect(await machine.node.run(['ps', '-e', '-o', 'args='])).not.toMatch(/^\/pause|sleep 1$/m);
    });

    test('uninstall leaves nothing of it, and a second one finds nothing', async () => {
      expect(await machine.run(['start'], { timeoutMs: installTimeoutMs })).toContain(
        'cluster is ready',
      );
      const { exitCode, stdout, stderr } = await machine.download(['uninstall', '--yes'], {
        timeoutMs: 60_000,
      });
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(stdout).toContain('removed /usr/local/bin/mini-k8s\n');
      await machine.node.run([
        'rm',
        '-r',
        '/etc/mini-k8s',
        '/etc/systemd/system/mini-k8s.service.d',
      ]);
      await machine.node.run(['rm', '-r', '/var/lib/shop']);
      expect(await changes()).toEqual([]);
      expect(await machine.download(['uninstall', '--yes'])).toEqual({
        exitCode: 0,
        stdout: 'Nothing to remove.\n',
        stderr: '',
      });
    });

    test('a fresh installation works after it', async () => {
      const { exitCode, stdout, stderr } = await install();
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('✓ the cluster is ready');
    });

    test('a worker joins with a token that is nowhere afterwards', async () => {
      worker = await bootMachine('systemd', {
        name: 'install-worker',
        network: { site },
      });
      await prepareForSnapshots(worker);
      untouchedWorker = await snapshotInstallation(worker);
      const wrong = await worker.download(['worker', 'install', '--token', 'nonsense']);
      expect(wrong).toMatchObject({ exitCode: 1, stdout: '' });
      expect(wrong.stderr).toMatch(/^fix: /m);
      expect(compareSnapshots(untouchedWorker, await snapshotInstallation(worker))).toEqual([]);

      const token = (await machine.run(['token', 'create'])).trim();
      const { exitCode, stdout, stderr } = await worker.download(
        ['worker', 'install', '--token', token, '--labels', 'example.com/rack=r1'],
        { timeoutMs: installTimeoutMs },
      );
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('✓ node install-worker is Ready');
      const label = 'jsonpath={.metadata.labels.example\\.com/rack}';
      expect(await machine.kubectl(['get', 'node', 'install-worker', '-o', label])).toBe('r1');
      const { id, secret } = parseJoinToken(token);
      for (const text of [token, `${id}.${secret}`]) {
        expect(await findText(worker, text)).toBe('');
      }
    });

    test('a worker that is installed again stays as it is, and leaves nothing when it goes', async () => {
      if (worker === undefined) throw new Error('there is no worker');
      const before = await runningComponents(worker.node);
      const again = await worker.download([
        ...['worker', 'install', '--labels', 'example.com/rack=r1'],
      ]);
      expect(again.stdout).toBe('Nothing to change: the worker is installed and running.\n');
      expect(await runningComponents(worker.node)).toEqual(before);
      const { exitCode, stderr } = await worker.download(['uninstall', '--yes']);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(compareSnapshots(untouchedWorker, await snapshotInstallation(worker))).toEqual([]);
    });
  },
);

function startInstall(machine: Machine) {
  return machine.node.spawn([downloads.executable, 'controller', 'install', ...downloadedBundle()]);
}

/** Until components arrive: the middle of an installation. */
async function waitForStore(machine: Machine): Promise<void> {
  const count = 'find /var/lib/mini-k8s/store -type f -size +1M 2>/dev/null | wc -l';
  await waitFor(async () => Number(await machine.node.run(['sh', '-c', count])) > 0, {
    subject: 'the first component to be in the store',
    timeoutMs: 30_000,
    intervalMs: 20,
  });
}

async function defaultConfig(machine: Machine): Promise<string> {
  const file = '/etc/mini-k8s/config.yaml';
  await machine.node.writeFile(file, await machine.run(['config', 'default']));
  return file;
}

/** Where a text is: in files, command lines, environments or the journal. */
async function findText({ node }: Machine, text: string): Promise<string> {
  const script = `grep -rlsF -- "$0" /etc /run /var/lib/mini-k8s/etc /var/lib/mini-k8s/state /var/lib/kubelet
    for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do
      [ "$file" != "/proc/$$/cmdline" ] || continue
      tr '\\0' ' ' < "$file" 2>/dev/null | grep -qF -- "$0" && echo "$file"
    done
    journalctl -b -o cat --no-pager | grep -F -- "$0"
    true`;
  return node.run(['sh', '-c', script, text]);
}
