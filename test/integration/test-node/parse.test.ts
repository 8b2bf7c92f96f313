import { describe, expect, test } from 'vitest';
import { parseSize, parseUpOptions } from '../../../scripts/local-cluster/options.ts';
import { notReady } from '../../../scripts/local-cluster/wait-ready.ts';
import { hierarchyOf, isUnified, parseCgroupLayout } from '../../support/node/cgroup-layout.ts';
import { parseNameservers } from '../../support/node/host-nameservers.ts';
import { parseCpuSet, renderMeminfo, selectCpus } from '../../support/node/node-files.ts';
import { parseSubmounts } from '../../support/node/submounts.ts';

describe('what the machine says', () => {
  test('cgroup v2', () => {
    const layout = parseCgroupLayout(
      '31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate',
    );
    expect(layout).toEqual([{ version: 2, mountPoint: '/sys/fs/cgroup', controllers: [] }]);
    expect(isUnified(layout)).toBe(true);
    expect(hierarchyOf(layout, 'memory').mountPoint).toBe('/sys/fs/cgroup');
  });

  test('cgroup v1 as systemd mounts it, hybrid; twice mounted is once', () => {
    const layout = parseCgroupLayout(
      [
        '32 31 0:28 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw',
        '33 31 0:29 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd',
        '36 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct',
        '37 31 0:33 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory',
        '99 31 0:33 / /other/memory rw shared:16 - cgroup cgroup rw,memory',
      ].join('\n'),
    );
    expect(layout.map(({ controllers }) => controllers)).toEqual([
      [],
      ['name=systemd'],
      ['cpu', 'cpuacct'],
      ['memory'],
    ]);
    expect(isUnified(layout)).toBe(false);
    expect(hierarchyOf(layout, 'cpuacct').mountPoint).toBe('/sys/fs/cgroup/cpu,cpuacct');
    expect(() => hierarchyOf(layout, 'pids')).toThrow('pids');
  });

  test('mounts that hold parts of the system', () => {
    const mountinfo = [
      '1 0 8:1 / / rw - ext4 /dev/sda1 rw',
      '2 1 8:2 / /usr ro - ext4 /dev/sda2 ro',
      '3 1 8:3 / /home/a\\040b rw - btrfs /dev/sda3 rw',
      '4 1 8:4 / /var/lib/docker rw - ext4 /dev/sda4 rw',
      '5 1 8:5 / /boot/efi rw - vfat /dev/sda5 rw',
      '6 1 0:5 / /dev/shm rw - tmpfs tmpfs rw',
      '7 1 8:1 /x /etc/resolv.conf rw - ext4 /dev/sda1 rw',
    ].join('\n');
    expect(parseSubmounts(mountinfo)).toEqual(['/home/a b', '/usr']);
  });

  test('name servers that a node can reach', () => {
    const text = 'search lan\nnameserver 127.0.0.53\nnameserver 192.168.1.1\nnameserver ::1\n';
    expect(parseNameservers(text)).toEqual(['192.168.1.1']);
  });
});

describe('what a node is shown', () => {
  test('memory of its own size', () => {
    const text = renderMeminfo(
      'MemTotal:       24684096 kB\nMemFree:          102400 kB\nSwapTotal:  5 kB\nHugePages_Total: 3\n',
      1024 ** 3,
    );
    expect(text).toContain('MemTotal:        1048576 kB\n');
    expect(text).toContain('MemFree:          102400 kB\n');
    expect(text).toContain('SwapTotal:             0 kB\n');
    expect(text).toContain('HugePages_Total: 3\n');
  });

  test('its CPUs only', () => {
    const cpuinfo = 'processor\t: 0\nmodel\t: a\n\nprocessor\t: 1\nmodel\t: b\n\nprocessor\t: 2\n';
    expect(selectCpus(cpuinfo, '1')).toBe('processor\t: 1\nmodel\t: b');
    expect([...parseCpuSet('0-1,3')]).toEqual([0, 1, 3]);
  });
});

describe('./scripts/up', () => {
  test('takes sizes as Kubernetes writes them', () => {
    expect(parseSize('--memory', '1Gi', 0)).toBe(1024 ** 3);
    expect(parseSize('--memory', '0.5Gi', 0)).toBe(512 * 1024 ** 2);
    expect(parseSize('--memory', '1G', 0)).toBe(1e9);
    expect(() => parseSize('--memory', '1 Gi', 0)).toThrow('--memory takes a size');
    expect(() => parseSize('--memory', '1Mi', 2 * 1024 ** 2)).toThrow('the least is 2Mi');
  });

  test('refuses what makes no sense', () => {
    expect(parseUpOptions(['--cpus', '0.5'])).toMatchObject({ cpus: 0.5, memoryBytes: 'all' });
    expect(() => parseUpOptions(['--cpus', '0'])).toThrow('--cpus');
    expect(() => parseUpOptions(['--host', '--memory', '1Gi'])).toThrow('--host');
    expect(() => parseUpOptions(['now'])).toThrow('now');
  });

  test('says what is not Ready', () => {
    const node = { name: 'up', isReady: true, message: '' };
    expect(notReady({ node, addons: [] })).toEqual(['no addon is known yet']);
    const addon = { name: 'coredns', isReady: false, message: '0 of 1' };
    expect(notReady({ node, addons: [addon] })).toEqual(['coredns: 0 of 1']);
    expect(notReady({ node, addons: [{ ...addon, isReady: true }] })).toEqual([]);
  });
});
