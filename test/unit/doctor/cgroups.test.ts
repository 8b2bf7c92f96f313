import { describe, expect, test } from 'vitest';
import { type CgroupFacts, judgeCgroups, parseCgroupMounts } from '../../../src/doctor/cgroups.ts';

/** As a Raspberry Pi 4 with Raspberry Pi OS 12 comes: the firmware puts cgroup_disable=memory before cmdline.txt. */
const pi: CgroupFacts = {
  version: 'v2',
  controllers: ['cpuset', 'cpu', 'io', 'pids'],
  kernelCommandLine:
    'coherent_pool=1M cgroup_disable=memory console=tty1 root=PARTUUID=1234-02 rootfstype=ext4\n',
  board: 'Raspberry Pi 4 Model B Rev 1.4',
  bootFile: {
    path: '/boot/firmware/cmdline.txt',
    content: 'console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 fsck.repair=yes rootwait\n',
  },
};
const healthy: CgroupFacts = {
  version: 'v2',
  controllers: ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'],
  kernelCommandLine: 'root=/dev/vda1',
  board: '',
};

test('version 2 with everything', () => {
  expect(judgeCgroups(healthy)).toEqual([
    { state: 'ok', what: 'version 2 with cpu, memory, pids' },
  ]);
});

describe('a Raspberry Pi whose memory cgroup is off', () => {
  const fixOf = (change: Partial<CgroupFacts>) => {
    const [verdict] = judgeCgroups({ ...pi, ...change });
    return verdict?.state === 'fail' ? verdict.fix : verdict;
  };

  test('is told the file, the word and the reboot', () => {
    expect(judgeCgroups(pi)).toEqual([
      {
        state: 'fail',
        prevents: 'run pods',
        why: 'the memory cgroup is missing: /sys/fs/cgroup/cgroup.controllers has cpuset cpu io pids',
        fix: 'append cgroup_enable=memory to the one line of /boot/firmware/cmdline.txt, and reboot',
      },
    ]);
  });

  test('is told the file of an older system', () => {
    const bootFile = { path: '/boot/cmdline.txt', content: 'console=tty1' };
    expect(fixOf({ bootFile })).toContain('the one line of /boot/cmdline.txt,');
  });

  test('is told to reboot when the file is right already', () => {
    const bootFile = {
      path: '/boot/firmware/cmdline.txt',
      content: 'quiet cgroup_enable=memory\n',
    };
    expect(fixOf({ bootFile })).toBe(
      'reboot: /boot/firmware/cmdline.txt has cgroup_enable=memory already',
    );
  });

  test('is told to append where a later word takes it back', () => {
    const content = 'cgroup_enable=memory quiet cgroup_disable=memory';
    expect(fixOf({ bootFile: { path: '/boot/firmware/cmdline.txt', content } })).toMatch(/^append/);
  });

  test('is not told the same again when the running kernel was told it in vain', () => {
    expect(
      fixOf({ kernelCommandLine: 'cgroup_disable=memory quiet cgroup_enable=memory' }),
    ).toMatch(/CONFIG_MEMCG/);
  });
});

test('another machine is told where its kernel command line is', () => {
  const [verdict] = judgeCgroups({ ...healthy, controllers: ['cpu', 'pids'] });
  expect(verdict).toMatchObject({
    state: 'fail',
    fix: expect.stringContaining('/etc/default/grub'),
  });
});

describe('version 1', () => {
  const v1: CgroupFacts = {
    ...healthy,
    version: 'v1',
    controllers: ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'pids'],
  };

  test('works, with a warning', () => {
    expect(judgeCgroups(v1)).toMatchObject([
      { state: 'warn', why: expect.stringContaining('1.38') },
    ]);
  });

  test('a hierarchy that is not mounted is named with the command', () => {
    const controllers = v1.controllers.filter((name) => name !== 'pids');
    expect(judgeCgroups({ ...v1, controllers })).toMatchObject([
      { state: 'fail', fix: expect.stringContaining('mount -t cgroup -o pids none') },
    ]);
  });

  test('controllers are the options of the mounts', () => {
    const mounts = `proc /proc proc rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
`;
    expect(parseCgroupMounts(mounts)).toEqual(['cpu', 'cpuacct', 'memory']);
  });
});
