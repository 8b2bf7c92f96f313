import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createMachine } from '../../support/node/create-machine.ts';
import { createNode } from '../../support/node/create-node.ts';
import { openNode } from '../../support/node/open-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';

describe.skipIf(nodeSkipReason() !== undefined)('a machine with a checkout', () => {
  test('writes to its copy only', async () => {
    const repository = await mkdtemp(path.join(tmpdir(), 'mini-k8s-checkout-'));
    try {
      await writeFile(path.join(repository, 'README.md'), 'original');
      await using machine = await createMachine({
        name: 'machine',
        repository,
        repositoryPath: '/srv/checkout',
      });
      expect(await machine.readFile('/srv/checkout/README.md')).toBe('original');
      await machine.run(['sh', '-c', 'cd /srv/checkout && echo changed > README.md && touch new']);
      expect(await readFile(path.join(repository, 'README.md'), 'utf8')).toBe('original');
      expect(await readdir(repository)).toEqual(['README.md']);
      const pid = (await machine.run(['sh', '-c', 'sleep 99 >/dev/null 2>&1 & echo $!'])).trim();
      // Forked by a shell, it is one itself for a moment.
      const processes = () => machine.run(['ps', '-e', '-o', 'ppid=,args=']);
      await waitFor(async () => /^ +1 sleep 99$/m.test(await processes()), {
        subject: `sleep ${pid} to belong to init`,
        timeoutMs: 20_000,
      });
    } finally {
      await rm(repository, { recursive: true, force: true });
    }
  });

  test('what is bound into a node can be written only when that is said', async () => {
    const source = await mkdtemp(path.join(tmpdir(), 'mini-k8s-bind-'));
    try {
      await using node = await createNode({
        name: 'binds',
        binds: [
          { source, target: '/mnt/read-only' },
          { source, target: '/mnt/writable', writable: true },
        ],
      });
      const refused = await node.exec(['touch', '/mnt/read-only/x']);
      expect(refused.stderr).toContain('Read-only file system');
      await node.run(['touch', '/mnt/writable/y']);
      expect(await readdir(source)).toEqual(['y']);
    } finally {
      await rm(source, { recursive: true, force: true });
    }
  });

  test('another process can use a node that is there', async () => {
    expect(await openNode('shared')).toBeUndefined();
    await using node = await createNode({ name: 'shared' });
    const opened = await openNode('shared');
    expect(opened?.pid).toBe(node.pid);
    expect((await opened?.run(['uname', '-n']))?.trim()).toBe('shared');
  });

  test('masquerade lets a node reach what the host reaches', async () => {
    await using open = await createNode({ name: 'open', network: { masquerade: true } });
    await using closed = await createNode({ name: 'closed' });
    // Every address of the host answers a node directly; another node is only reached by forwarding.
    const server = closed.spawn([
      'perl',
      '-MIO::Socket::INET',
      '-e',
      'my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 7000) or die; my $c = $s->accept; print $c $c->peerhost;',
    ]);
    const ask = `for (1..50) { my $c = IO::Socket::INET->new("${closed.address}:7000"); if ($c) { print <$c>; exit } select(undef, undef, undef, 0.1) } exit 1`;
    const seenAs = await open.run(['perl', '-MIO::Socket::INET', '-e', ask]);
    expect(seenAs).toBe(closed.gateway);
    expect(await server.exited).toBe(0);
  });
});
