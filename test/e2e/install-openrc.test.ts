import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { parseJoinToken } from '../../src/join/token.ts';
import { runningComponents } from '../support/e2e/faults.ts';
import { compareSnapshots, type MachineSnapshot } from '../support/e2e/faults-snapshot.ts';
import {
  importTestImage,
  prepareForSnapshots,
  slowContainer,
  slowFile,
  slowToEnd,
  snapshotInstallation,
} from '../support/e2e/installation.ts';
import {
  bootMachine,
  downloadedBundle,
  explainMachines,
  type Machine,
  powerOff,
} from '../support/e2e/machine.ts';
import { startPods } from '../support/e2e/objects.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { NodeOptions, Site } from '../support/node/types.ts';

// The same story as under systemd, as far as the service manager has a part in it.
describe.skipIf(nodeSkipReason() !== undefined)(
  'install under OpenRC',
  { timeout: 240_000 },
  () => {
    let site: Site;
    let network: NonNullable<NodeOptions['network']>;
    let machine: Machine;
    let worker: Machine | undefined;
    let untouched: MachineSnapshot;
    const install = () =>
      machine.download(['controller', 'install', ...downloadedBundle()], { timeoutMs: 200_000 });

    beforeAll(async () => {
      site = await createSite('openrc');
      network = { site, address: site.nextAddress() };
      machine = await bootMachine('OpenRC', { name: 'openrc', network });
      await prepareForSnapshots(machine);
      untouched = await snapshotInstallation(machine);
    });
    afterAll(async () => {
      await worker?.node.destroy();
      await machine?.node.destroy();
      await site?.destroy();
    });
    explainMachines(() => [machine, worker]);

    test('installs a service, and everything is Ready', async () => {
      const { exitCode, stdout, stderr } = await install();
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('+ /etc/init.d/mini-k8s\n');
      expect(stdout).toContain('✓ the cluster is ready');
      expect(await machine.node.run(['rc-update', 'show', 'default'])).toContain('mini-k8s');
      const before = await runningComponents(machine.node);
      expect((await install()).stdout).toBe(
        'Nothing to change: the controller is installed and running.\n',
      );
      expect(await runningComponents(machine.node)).toEqual(before);
      expect(await machine.run(['logs'])).toContain('the node and all addons are Ready');
    });

    test('rc-service reload takes a part of the configuration over', async () => {
      const parts = '/etc/mini-k8s/config.yaml.d';
      await machine.node.writeFile(`${parts}/10-pods.yaml`, 'spec: { kubelet: { maxPods: 60 } }\n');
      const { kubelet, ...others } = await runningComponents(machine.node);
      await machine.node.run(['rc-service', 'mini-k8s', 'reload']);
      const after = await runningComponents(machine.node);
      expect(after['kubelet']).not.toEqual(kubelet);
      expect(after).toMatchObject(others);
      await machine.node.run(['rm', '-r', parts]);
    });

    test('a supervisor that was killed is started again, and pods run on', async () => {
      await importTestImage(machine);
      await startPods(machine, 'shop', [slowToEnd('httpGet')]);
      const container = await machine.kubectl(slowContainer);
      const { pid } = (await machine.status()).supervisor;
      await machine.node.run(['kill', '-KILL', String(pid)]);
      const isAnother = async () => {
        const { exitCode, stdout } = await machine.node.exec([
          ...['/usr/local/bin/mini-k8s', 'status', '-o', 'json'],
        ]);
        return exitCode === 0 && JSON.parse(stdout).supervisor.pid !== pid;
      };
      await waitFor(isAnother, { subject: 'another supervisor', timeoutMs: 60_000 });
      await machine.waitReady();
      expect(await machine.kubectl(slowContainer)).toBe(container);
    });

    test('a machine that goes down gives pods their grace period, and comes back', async () => {
      expect(await powerOff(machine)).toBeLessThan(60_000);
      await machine.node.destroy({ keepDirectory: true });
      machine = await bootMachine('OpenRC', { name: 'openrc', network });
      expect(await machine.node.readFile(slowFile)).toBe('started\nwarned\nended\n');
      await machine.waitReady();
    });

    test('a worker joins with a token that is nowhere afterwards, and leaves nothing when it goes', async () => {
      worker = await bootMachine('OpenRC', { name: 'openrc-worker', network: { site } });
      await prepareForSnapshots(worker);
      const before = await snapshotInstallation(worker);
      const token = (await machine.run(['token', 'create'])).trim();
      await worker.node.writeFile('/root/token', token, 0o600);
      const joining = ['worker', 'install', '--token-file', '/root/token'];
      const { exitCode, stdout, stderr } = await worker.download(joining, { timeoutMs: 200_000 });
      expect(exitCode, `${stdout}${stderr}`).toBe(0);
      expect(stdout).toContain('+ /etc/init.d/mini-k8s\n');
      expect(stdout).toContain('✓ node openrc-worker is Ready');
      await worker.node.run(['rm', '/root/token']);
      const script = await worker.node.readFile('/etc/init.d/mini-k8s');
      expect(script).toMatch(/^command_args=worker$/m);
      const { secret } = parseJoinToken(token);
      const places = ['/etc', '/run', '/var/lib/mini-k8s/etc', '/var/lib/mini-k8s/state'];
      const found = await worker.node.exec([
        ...['grep', '-rlsF', '--', secret, ...places, '/var/log/mini-k8s.log'],
      ]);
      expect(found.stdout).toBe('');
      expect(await worker.node.run(['ps', '-e', '-o', 'args='])).not.toContain(secret);
      const again = await worker.download(['worker', 'install']);
      expect(again.stdout).toBe('Nothing to change: the worker is installed and running.\n');
      const gone = await worker.download(['uninstall', '--yes'], { timeoutMs: 60_000 });
      expect({ exitCode: gone.exitCode, stderr: gone.stderr }).toEqual({ exitCode: 0, stderr: '' });
      expect(compareSnapshots(before, await snapshotInstallation(worker))).toEqual([]);
    });

    test('stop leaves pods, and uninstall leaves nothing', async () => {
      await machine.run(['stop']);
      expect(Object.keys(await runningComponents(machine.node))).toEqual([
        'containerd-shim-runc-v2',
      ]);
      const { exitCode, stderr } = await machine.download(['uninstall', '--yes'], {
        timeoutMs: 60_000,
      });
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
      await machine.node.run(['rm', '-r', '/var/lib/shop']);
      expect(compareSnapshots(untouched, await snapshotInstallation(machine))).toEqual([]);
    });
  },
);
