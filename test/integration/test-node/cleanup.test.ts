import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createNode } from '../../support/node/create-node.ts';
import { createSite } from '../../support/node/create-site.ts';
import { runOnHost, tryOnHost } from '../../support/node/host-command.ts';
import { IP_FORWARD_FILE, linkName, readIpForward } from '../../support/node/network.ts';
import { listRecords, readRecord } from '../../support/node/node-record.ts';
import { cleanStaleNodes } from '../../support/node/remove-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import { killRunOf } from './killed-run.ts';

/** What a node of this name still has on the machine. */
async function tracesOf(name: string): Promise<readonly string[]> {
  const traces: string[] = [];
  const note = (isThere: boolean, what: string) => {
    if (isThere) traces.push(what);
  };
  // It fails over a group that is removed while it looks, as those of other test files are.
  const cgroups = await tryOnHost(['find', '/sys/fs/cgroup', '-type', 'd', '-name', name]);
  note(cgroups.stdout !== '' || cgroups.exitCode > 1, `cgroups ${cgroups.stdout}`);
  note((await tryOnHost(['ip', 'link', 'show', linkName('veth', name)])).exitCode === 0, 'veth');
  note((await runOnHost(['losetup', '--list', '--raw'])).includes(`/${name}/`), 'loop device');
  note((await readFile('/proc/self/mounts', 'utf8')).includes(`/${name}/`), 'mounts');
  note(existsSync(`/var/tmp/mini-k8s-nodes/${name}`), 'directory');
  note((await readRecord(name)) !== undefined, 'record');
  const tables = await tryOnHost(['nft', 'list', 'tables']);
  note(tables.stdout.includes(name.replaceAll('-', '_')), 'nft table');
  return traces;
}

/** What the machine itself has: while a node of another test file needs it otherwise, what that one will put back. */
async function machinesIpForward(): Promise<string> {
  for (;;) {
    const before = await readIpForward();
    const changes = (await listRecords()).flatMap(({ sysctls }) => sysctls);
    const change = changes.find((sysctl) => sysctl.path === IP_FORWARD_FILE);
    if (change !== undefined) return change.previous;
    // Else one has come or gone between the two looks.
    if ((await readIpForward()) === before) return before;
  }
}

describe.skipIf(nodeSkipReason() !== undefined)('removal of nodes', () => {
  test('leaves nothing, whatever runs in the node', async () => {
    const node = await createNode({ name: 'gone' });
    await node.run([
      'sh',
      '-c',
      'setsid sh -c "trap : TERM INT HUP; while :; do sleep 1; done" >/dev/null 2>&1 </dev/null &',
    ]);
    await node.run([
      'sh',
      '-c',
      'mkdir /sys/fs/cgroup/*/nested; sleep 99 >/dev/null 2>&1 & for f in /sys/fs/cgroup/memory/nested/cgroup.procs; do echo $! > $f || :; done',
    ]);
    await node.run([
      'unshare',
      '--mount',
      '--pid',
      '--fork',
      'sh',
      '-c',
      'sleep 98 >/dev/null 2>&1 & exit',
    ]);
    await node.freeze();
    await node.destroy();
    expect(await tracesOf('gone')).toEqual([]);
    await node.destroy();
  });

  test('a half-made node is removed', async () => {
    const nowhere = { source: '/does/not/exist', target: '/x' };
    await expect(createNode({ name: 'half', binds: [nowhere] })).rejects.toThrow(
      /did not boot.*exist/s,
    );
    expect(await tracesOf('half')).toEqual([]);
  });

  test('a name can be had once', async () => {
    await using node = await createNode({ name: 'single' });
    await expect(createNode({ name: 'single' })).rejects.toThrow(
      'single is already on this machine',
    );
    expect((await node.exec(['true'])).exitCode).toBe(0);
  });

  test('what a killed run has left, the next one removes', async () => {
    const forwardBefore = await machinesIpForward();
    const library = path.resolve(import.meta.dirname, '../../support/node/create-node.ts');
    const program = `
      const { createNode } = await import(${JSON.stringify(library)});
      const node = await createNode({ name: 'orphan', network: { masquerade: true } });
      node.spawn(['sleep', '1000']);`;
    await killRunOf(program, async () => {
      expect(await cleanStaleNodes(), 'while its owner lives').not.toContain('orphan');
      expect(await tracesOf('orphan')).toContain('nft table');
    });
    // Every run that makes a node does this first: another test file's may have been quicker.
    await cleanStaleNodes();
    expect(await tracesOf('orphan')).toEqual([]);
    await waitFor(async () => (await machinesIpForward()) === forwardBefore, {
      subject: `ip_forward to be ${forwardBefore} again, or somebody's to put back`,
      timeoutMs: 20_000,
    });
  });

  test('a power cut loses what was not synced; the disk boots again', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-power-'));
    try {
      const first = await createNode({ name: 'power', directory });
      await first.run(['sh', '-c', 'echo kept > /var/lib/kept; sync; echo lost > /var/lib/lost']);
      const machineId = await first.readFile('/etc/machine-id');
      await first.cutPower();
      await using second = await createNode({ name: 'power', directory });
      expect(await second.readFile('/var/lib/kept')).toBe('kept\n');
      const lost = await second.exec(['cat', '/var/lib/lost']);
      expect(lost.stdout).not.toContain('lost');
      expect(await second.readFile('/etc/machine-id')).toBe(machineId);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    expect(await tracesOf('power')).toEqual([]);
  });

  test('a snapshot of the disk boots', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-snapshot-'));
    try {
      await using node = await createNode({ name: 'original' });
      await node.run(['sh', '-c', 'echo kept > /var/lib/kept; sync']);
      await node.snapshotDisk(path.join(directory, 'disk.img'));
      await using copy = await createNode({ name: 'copy', directory });
      expect(await copy.readFile('/var/lib/kept')).toBe('kept\n');
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('nodes of one site reach each other; nothing of the site stays', async () => {
    {
      await using site = await createSite('cleanup');
      await using a = await createNode({ name: 'site-a', network: { site } });
      await using b = await createNode({ name: 'site-b', network: { site } });
      expect(a.address).not.toBe(b.address);
      const server = b.spawn([
        'perl',
        '-MIO::Socket::INET',
        '-e',
        `
        my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 7000, ReuseAddr => 1) or die $!;
        print "listening\\n"; $| = 1; print ""; my $c = $s->accept; print $c "hello from b\\n";`,
      ]);
      await waitFor(() => server.output().includes('listening'), {
        subject: 'server',
        timeoutMs: 20_000,
      });
      const ask = `my $c = IO::Socket::INET->new("${b.address}:7000") or die $!; print <$c>;`;
      expect(await a.run(['perl', '-MIO::Socket::INET', '-e', ask])).toBe('hello from b\n');
    }
    const links = await readdir('/sys/class/net');
    expect(links).not.toContain(linkName('bridge', 'cleanup'));
    expect([...(await tracesOf('site-a')), ...(await tracesOf('site-b'))]).toEqual([]);
    expect(existsSync('/run/mini-k8s-nodes/site.cleanup.json')).toBe(false);
  });
});
