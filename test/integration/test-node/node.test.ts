import { readFile, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createNode } from '../../support/node/create-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import { GIBIBYTE, type TestNode } from '../../support/node/types.ts';

/** Of all processors of the machine, since it was switched on. */
function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

describe.skipIf(nodeSkipReason() !== undefined)('a test node', () => {
  let node: TestNode;

  beforeAll(async () => {
    node = await createNode({ name: 'limits' });
  });
  afterAll(async () => {
    await node?.destroy();
  });

  test('sees one CPU and one GiB', async () => {
    expect((await node.run(['nproc'])).trim()).toBe('1');
    expect(await node.readFile('/proc/meminfo')).toMatch(/^MemTotal: +1048576 kB$/m);
    expect((await node.readFile('/proc/cpuinfo')).match(/^processor/gm)).toHaveLength(1);
    expect((await node.readFile('/sys/devices/system/cpu/online')).trim()).toMatch(/^\d+$/);
  });

  test('sees itself as the root of every cgroup hierarchy', async () => {
    const lines = (await node.readFile('/proc/self/cgroup')).trim().split('\n');
    for (const line of lines) expect(line).toMatch(/:(\/|\/init)$/);
    const mounts = await node.readFile('/proc/self/mountinfo');
    const cgroups = mounts.split('\n').filter((line) => / - cgroup2? /.test(line));
    expect(cgroups.length).toBeGreaterThan(0);
    for (const line of cgroups) expect(line.split(' ')[3]).toBe('/');
  });

  test('its first process is an init that reaps orphans', async () => {
    const orphan = '(sleep 0.1 & exec sleep 0.01) & wait';
    await node.run(['sh', '-c', orphan]);
    const isZombie = async () => (await node.run(['ps', '-eo', 'stat='])).includes('Z');
    await waitFor(async () => !(await isZombie()), { subject: 'the orphan', timeoutMs: 20_000 });
    expect((await node.readFile('/proc/1/comm')).trim()).toBe('sh');
    expect(await node.run(['ps', '-e', '-o', 'comm='])).not.toContain('vitest');
  });

  test('has its own hostname, machine id, boot id and address', async () => {
    expect((await node.run(['uname', '-n'])).trim()).toBe('limits');
    for (const file of ['/etc/machine-id', '/proc/sys/kernel/random/boot_id']) {
      expect(await node.readFile(file)).not.toBe(await readFile(file, 'utf8').catch(() => ''));
    }
    const [link] = JSON.parse(await node.run(['ip', '-json', 'address', 'show', 'eth0']));
    expect(link.addr_info).toContainEqual(
      expect.objectContaining({ local: node.address, prefixlen: 24 }),
    );
  });

  test('keeps its data on ext4, and every directory of Kubernetes is its own', async () => {
    expect((await node.run(['stat', '-f', '-c', '%T', '/var/lib'])).trim()).toMatch(/^ext/);
    const files = [
      '/etc/cni/net.d/x',
      '/etc/mini-k8s/x',
      '/opt/cni/bin/x',
      '/var/log/x',
      '/run/x',
      '/tmp/x',
      '/usr/local/bin/node-only',
      '/root/node-only',
    ];
    for (const file of files) {
      await node.writeFile(file, 'of the node');
      await expect(stat(file), `${file} on the host`).rejects.toMatchObject({ code: 'ENOENT' });
      expect(await node.readFile(file)).toBe('of the node');
    }
  });

  test('cannot change settings of the whole machine', async () => {
    const file = '/proc/sys/vm/overcommit_memory';
    const before = await readFile(file, 'utf8');
    const other = before.trim() === '1' ? '0' : '1';
    await node.run(['sh', '-c', `echo ${other} > ${file}`]);
    expect((await node.readFile(file)).trim()).toBe(other);
    expect(await readFile(file, 'utf8')).toBe(before);
  });

  test('stacks a second overlay on its data, as containerd does', async () => {
    const script = `mkdir -p /var/lib/o/l /var/lib/o/u /var/lib/o/w /var/lib/o/m && cd /var/lib/o &&
      mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay m && echo x > m/file && cat u/file && umount m`;
    expect(await node.run(['sh', '-c', script])).toBe('x\n');
  });

  test('holds commands to its memory limit', async () => {
    const { oomKills } = await node.memory();
    const result = await node.exec([
      'dd',
      'if=/dev/zero',
      'of=/dev/shm/big',
      'bs=1M',
      'count=1100',
    ]);
    expect(result.exitCode).toBe(137);
    expect((await node.memory()).oomKills).toBe(oomKills + 1);
    await node.run(['rm', '/dev/shm/big']);
    expect((await node.memory()).usageBytes).toBeLessThan(GIBIBYTE / 2);
  });

  test('holds commands to its one CPU', async () => {
    const before = await node.cpuUsageMs();
    const idleBefore = idleMs();
    const started = performance.now();
    const spin = 'end=$(( $(date +%s) + 2 )); while [ $(date +%s) -lt $end ]; do :; done';
    await node.run(['sh', '-c', `(${spin}) & (${spin}) & wait`]);
    const elapsedMs = performance.now() - started;
    const usedMs = (await node.cpuUsageMs()) - before;
    // Of what there was for it: what the others on a busy machine have, they have on both processors.
    const availableMs = Math.min(elapsedMs, usedMs + idleMs() - idleBefore);
    expect(usedMs).toBeGreaterThan(availableMs * 0.5);
    expect(usedMs).toBeLessThan(elapsedMs * 1.15);
  });

  test('lets a pod have a larger CPU limit than it has CPUs, as a machine does', async () => {
    const script = `set -e
      v1=/sys/fs/cgroup/cpu v2=/sys/fs/cgroup
      if [ -e $v1/cpu.cfs_quota_us ]; then
        mkdir $v1/pod; echo 125000 >$v1/pod/cpu.cfs_quota_us; rmdir $v1/pod
      else
        mkdir $v2/pod; echo 125000 100000 >$v2/pod/cpu.max; rmdir $v2/pod
      fi`;
    await node.run(['sh', '-c', script]);
  });

  test('exec passes input, environment and exit codes', async () => {
    const options = { input: 'from the test', env: { GREETING: 'hello' } };
    const result = await node.exec(['sh', '-c', 'cat; echo $GREETING >&2; exit 7'], options);
    expect(result).toEqual({ exitCode: 7, stdout: 'from the test', stderr: 'hello\n' });
    expect(await node.run(['env'])).not.toContain('VITEST');
    expect((await node.exec(['sh', '-c', 'kill -TERM $$'])).exitCode).toBe(143);
  });

  test('exec ends what takes too long, children too', async () => {
    const slow = node.exec(['sh', '-c', 'echo begun; sleep 4711 & wait'], { timeoutMs: 3_000 });
    await expect(slow).rejects.toThrow(/longer than 3 s; it said: begun/);
    const sleeps = async () => (await node.run(['ps', '-e', '-o', 'args='])).includes('sleep 4711');
    await waitFor(async () => !(await sleeps()), {
      subject: 'the child to end',
      timeoutMs: 20_000,
    });
  });

  test('spawn keeps the end of the output and signals the command', async () => {
    const child = node.spawn(
      ['sh', '-c', "trap 'echo got TERM; exit 3' TERM; echo ready; while :; do sleep 0.05; done"],
      { keepOutputBytes: 1000 },
    );
    await waitFor(() => child.output().includes('ready'), { subject: 'output', timeoutMs: 20_000 });
    child.kill('SIGTERM');
    expect(await child.exited).toBe(3);
    expect(child.output()).toContain('got TERM');
  });

  test('counts anonymous memory of its processes only', async () => {
    const hold = 'my $x = "x" x (64 * 1024 * 1024); print "held\n"; $| = 1; print ""; sleep 60';
    const before = await node.anonymousBytes();
    const child = node.spawn(['perl', '-e', hold]);
    await waitFor(() => child.output().includes('held'), { subject: 'perl', timeoutMs: 60_000 });
    const grown = (await node.anonymousBytes()) - before;
    expect(grown / 1024 ** 2).toBeGreaterThan(60);
    expect(grown / 1024 ** 2).toBeLessThan(200);
    expect((await node.processes()).map(({ name }) => name)).toContain('perl');
    child.kill('SIGKILL');
    expect(await child.exited).toBe(137);
  });

  test('counts what it writes to its disk', async () => {
    const before = await node.disk();
    await node.run([
      'dd',
      'if=/dev/urandom',
      'of=/var/lib/written',
      'bs=1M',
      'count=16',
      'conv=fsync',
    ]);
    const written = (await node.disk()).writtenBytes - before.writtenBytes;
    expect(written).toBeGreaterThanOrEqual(16 * 1024 ** 2);
    expect(written).toBeLessThan(24 * 1024 ** 2);
    await node.dropCaches();
    await node.run(['cat', '/var/lib/written']);
    const read = (await node.disk()).readBytes - before.readBytes;
    expect(read).toBeGreaterThanOrEqual(16 * 1024 ** 2);
  });

  test('stands still while it is frozen', async () => {
    await node.freeze();
    try {
      await expect(node.exec(['true'], { timeoutMs: 500 })).rejects.toThrow(/longer than/);
    } finally {
      await node.thaw();
    }
    expect((await node.exec(['true'])).exitCode).toBe(0);
  });
});
