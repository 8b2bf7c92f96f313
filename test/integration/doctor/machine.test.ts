import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineCheck, MachineReport } from '../../../src/node/examine-machine.ts';
import { hostEngineBinds } from '../../support/host-engine.ts';
import { createNode } from '../../support/node/create-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import type { CommandResult, TestNode } from '../../support/node/types.ts';

const main = path.resolve(import.meta.dirname, '../../../src/main.ts');
const dataDir = '/var/lib/mini-k8s';
const configFile = '/etc/mini-k8s/config.yaml';

/** A machine that is no node yet, with the mistakes that people have on theirs. */
describe.skipIf(nodeSkipReason() !== undefined)('doctor on a machine', () => {
  let node: TestNode;
  const doctor = (...args: readonly string[]): Promise<CommandResult> =>
    node.exec([process.execPath, main, 'doctor', ...args]);
  const sh = (script: string) => node.run(['sh', '-euc', script]);

  async function examine(...args: readonly string[]): Promise<MachineReport> {
    const { stdout, stderr, exitCode } = await doctor('-o', 'json', ...args);
    if (stdout === '') throw new Error(`doctor said nothing (${exitCode}): ${stderr}`);
    const report = JSON.parse(stdout) as MachineReport;
    expect(exitCode, 'exit status').toBe(report.isHealthy ? 0 : 1);
    return report;
  }

  async function checksOf(probe: string, ...args: readonly string[]): Promise<MachineCheck[]> {
    return (await examine(...args)).checks.filter((check) => check.probe === probe);
  }

  /** Everything that a look could leave behind. */
  const traces = () =>
    sh(`ls -aR /var/lib /run; ip -o link | cut -d: -f2; nft list tables
      cut -d' ' -f5- /proc/self/mountinfo; cat /proc/net/unix | grep -c mini-k8s || true`);

  beforeAll(async () => {
    node = await createNode({ name: 'doctor', cpus: 'all', binds: hostEngineBinds });
  });
  afterAll(async () => {
    await node?.destroy();
  });

  test('a machine that is well has a line for everything, and is left as it was', async () => {
    const before = await traces();
    const report = await examine();
    expect(report).toMatchObject({ role: 'controller', dataDir, isRunning: false, repairs: [] });
    expect([...new Set(report.checks.map(({ probe }) => probe))]).toEqual([
      'cgroups',
      'kernel',
      'service-tools',
      'page-size',
      'memory',
      'swap',
      'disk',
      'write-latency',
      'clock',
      'default-route',
      'dns',
      'ports',
      'forwarding',
      'leftovers',
      'certificates',
      'keys',
      'store',
    ]);
    expect(report.checks.filter(({ state }) => state === 'fail')).toEqual([]);
    expect(await traces()).toBe(before);
  });

  test('a worker has other ports, and no etcd that waits for the disk', async () => {
    const report = await examine('--role', 'worker');
    expect(report.role).toBe('worker');
    const find = (probe: string) => report.checks.filter((check) => check.probe === probe);
    expect(find('write-latency')).toEqual([]);
    expect(find('ports')).toMatchObject([{ what: 'free: 6443, 10248, 10249, 10250, 10256' }]);
  });

  test('as text it has marks, reasons and mendings, and the exit status of a failure', async () => {
    await node.writeFile('/etc/systemd/system/k3s.service', '[Service]\n');
    try {
      const { exitCode, stdout } = await doctor();
      expect(exitCode).toBe(1);
      const lines = stdout.split('\n');
      expect(lines[0]).toBe(
        `This machine as a controller with data in ${dataDir}; mini-k8s does not run`,
      );
      const at = lines.findIndex((line) => line.includes('✗'));
      expect(lines.slice(at, at + 2)).toEqual([
        '  ✗ leftovers      cannot install a node: K3s is on this machine: /etc/systemd/system/k3s.service is there',
        '      fix: remove it first: k3s-uninstall.sh (on an agent: k3s-agent-uninstall.sh)',
      ]);
      expect(lines.at(-2)).toMatch(/^1 of \d+ checks failed, \d+ with a warning/);
    } finally {
      await sh('rm /etc/systemd/system/k3s.service');
    }
  });

  test('a cgroup that pods need and that is missing keeps a node from starting, at once', async () => {
    await sh(`if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo cpuset cpu io memory > /root/controllers
        mount --bind /root/controllers /sys/fs/cgroup/cgroup.controllers
      else umount /sys/fs/cgroup/pids; fi`);
    try {
      expect(await checksOf('cgroups')).toMatchObject([
        { state: 'fail', what: 'cannot run pods', why: expect.stringContaining('pids cgroup') },
      ]);
      const started = await node.exec([process.execPath, main, 'controller']);
      expect(started.exitCode).toBe(1);
      expect(started.stderr).toContain('error: Cannot run pods: the pids cgroup is missing:');
      // Without pods it goes on until it lacks its components.
      await node.writeFile(configFile, 'spec: {artifacts: {upstream: {enabled: false}}}\n');
      const alone = await node.exec([process.execPath, main, 'controller', '--no-workloads']);
      expect(alone.stderr).toContain('error: Cannot obtain ');
      expect(alone.stderr).not.toContain('cgroup');
    } finally {
      await sh(`if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
          umount /sys/fs/cgroup/cgroup.controllers
        else mount -t cgroup -o pids none /sys/fs/cgroup/pids; fi
        rm -rf ${dataDir} ${configFile}`);
    }
  });

  test('what another pod network and Docker have left', async () => {
    await sh(`ip link add cni0 type bridge; mkdir -p /etc/cni/net.d
      echo '{}' > /etc/cni/net.d/05-other.conflist
      nft add table ip filter
      nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
      nft add chain ip filter DOCKER-USER; nft add rule ip filter FORWARD jump DOCKER-USER`);
    try {
      expect(await checksOf('leftovers')).toMatchObject([
        { state: 'fail', why: expect.stringContaining('/etc/cni/net.d/05-other.conflist comes') },
        { state: 'warn', what: 'another pod network has left cni0' },
      ]);
      expect(await checksOf('forwarding')).toMatchObject([
        { state: 'warn', what: expect.stringContaining('Docker') },
      ]);
    } finally {
      await sh(
        'ip link delete cni0; rm /etc/cni/net.d/05-other.conflist; nft delete table ip filter',
      );
    }
  });

  test('every mistake of a configuration, and the rest all the same', async () => {
    await node.writeFile(
      configFile,
      'spec: {network: {podCIDR: 10.244.0.1/16}, api: {prt: 6443}}\n',
    );
    try {
      const report = await examine();
      const wrong = report.checks.filter(({ probe }) => probe === 'configuration');
      expect(wrong.map(({ state, why }) => `${state} ${why}`)).toEqual([
        expect.stringContaining('fail spec.api.prt: unknown key'),
        expect.stringContaining('fail spec.network.podCIDR'),
      ]);
      expect(report.checks.length).toBeGreaterThan(15);
    } finally {
      await sh(`rm ${configFile}`);
    }
  });

  test('without root it looks at what it may, and says what it left out', async () => {
    const asNobody = await node.exec(
      ['setpriv', '--reuid', '65534', '--clear-groups', process.execPath, main, 'doctor'],
      { env: { HOME: '/tmp' } },
    );
    expect(asNobody.stderr).toBe('');
    expect(asNobody.stdout).toMatch(/ - kernel +not looked at: trying what it can do needs root/);
    expect(asNobody.stdout).toMatch(/ ✓ ports +free: 2379,/);
    expect(asNobody.stdout).toContain('Root sees more: sudo mini-k8s doctor\n');
    const repair = await node.exec([
      'setpriv',
      '--reuid',
      '65534',
      '--clear-groups',
      process.execPath,
      main,
      'doctor',
      '--repair',
    ]);
    expect(repair).toMatchObject({ exitCode: 1, stdout: '' });
    expect(repair.stderr).toMatch(/^error: Cannot repair this machine: it needs root/);
  });

  describe('that has a damaged store and a key that everybody may read', () => {
    const damaged = `${dataDir}/store/blobs/sha256/${'0'.repeat(64)}`;
    const key = `${dataDir}/pki/ca.key`;
    const modeOf = async (file: string) => (await sh(`stat -c %a ${file}`)).trim();

    beforeAll(async () => {
      await node.writeFile(`${dataDir}/store/index.json`, '{"schemaVersion":2,"manifests":[]}');
      await node.writeFile(damaged, 'not what it was');
      await node.writeFile(key, 'secret', 0o644);
    });
    afterAll(async () => {
      await sh(`rm -rf ${dataDir}`);
    });

    test('a dry run says what would be done, and does nothing', async () => {
      const report = await examine('--repair', '--dry-run');
      expect(report.isHealthy).toBe(false);
      expect(report.repairs).toEqual([
        { probe: 'keys', what: `set the mode of ${key} to 0600`, outcome: 'planned' },
        { probe: 'store', what: `remove ${damaged}`, outcome: 'planned' },
      ]);
      expect(await node.exists(damaged)).toBe(true);
      expect(await modeOf(key)).toBe('644');
    });

    test('a repair does it, says so, and looks again; the next finds nothing to do', async () => {
      const report = await examine('--repair');
      expect(report.repairs.map(({ what, outcome }) => `${outcome}: ${what}`)).toEqual([
        `done: set the mode of ${key} to 0600`,
        `done: remove ${damaged}`,
      ]);
      expect(report.checks.filter(({ state }) => state === 'fail')).toEqual([]);
      expect(await node.exists(damaged)).toBe(false);
      expect(await modeOf(key)).toBe('600');
      expect((await examine('--repair')).repairs).toEqual([]);
    });
  });
});
