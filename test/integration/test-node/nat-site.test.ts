import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createNatSite } from '../../support/node/create-nat-site.ts';
import { createNode } from '../../support/node/create-node.ts';
import { createSite } from '../../support/node/create-site.ts';
import { linkName } from '../../support/node/network.ts';
import { namespaceFile } from '../../support/node/network-namespace.ts';
import { listRecords } from '../../support/node/node-record.ts';
import { cleanStaleNodes } from '../../support/node/remove-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import { slowDownLink } from '../../support/node/slow-link.ts';
import type { NatSite, NodeProcess, Site, TestNode } from '../../support/node/types.ts';
import { quickest } from '../../support/quickest.ts';
import { killRunOf } from './killed-run.ts';

const small = { cpus: 0.5, memoryBytes: 128 * 1024 ** 2, diskBytes: 256 * 1024 ** 2 };
const equalAddress = '192.168.77.10';

/** Answers each line with the address that it came from. */
const echoServer = `
  use IO::Socket::INET; use IO::Select; $| = 1; $SIG{PIPE} = 'IGNORE';
  my $s = IO::Socket::INET->new(Listen => 8, LocalPort => 7000, ReuseAddr => 1) or die $!;
  my $all = IO::Select->new($s); print "listening\\n";
  while (my @ready = $all->can_read) {
    for my $c (@ready) {
      if ($c == $s) { $all->add($s->accept); next }
      my $line = <$c>;
      if (!defined $line) { $all->remove($c); close $c; next }
      print $c "you are " . $c->peerhost . "\\n";
    }
  }`;

/** Says what it got for one line per second that it sent on one connection; "silence" when nothing came. */
const talker = (address: string) => `
  use IO::Socket::INET; use IO::Select; $| = 1;
  my $c = IO::Socket::INET->new(PeerAddr => "${address}:7000", Timeout => 5) or die $!;
  while (1) {
    print $c "x\\n"; $c->flush;
    if (IO::Select->new($c)->can_read(0.3)) { my $l = <$c>; defined $l or die "closed"; print $l; }
    else { print "silence\\n" }
    select undef, undef, undef, 0.05;
  }`;

const ask = (address: string, timeoutS = 5) => [
  'perl',
  '-MIO::Socket::INET',
  '-e',
  `my $c = IO::Socket::INET->new(PeerAddr => "${address}:7000", Timeout => ${timeoutS}) or die "no connection: $!\\n";
   print $c "x\\n"; print scalar <$c>;`,
];

async function serve(node: TestNode): Promise<void> {
  const server = node.spawn(['perl', '-e', echoServer]);
  await waitFor(() => server.output().includes('listening'), {
    subject: `the server in ${node.name}`,
    timeoutMs: 60_000,
  });
}

describe.skipIf(nodeSkipReason() !== undefined)('sites behind NAT', () => {
  let upstream: Site;
  let outside: TestNode;
  let sites: readonly [NatSite, NatSite];
  let nodes: readonly [TestNode, TestNode];

  beforeAll(async () => {
    upstream = await createSite('nat-upstream');
    outside = await createNode({ name: 'nat-outside', network: { site: upstream }, ...small });
    sites = [
      await createNatSite({ name: 'nat-a', upstream }),
      await createNatSite({ name: 'nat-b', upstream }),
    ];
    const network = (site: NatSite) => ({ site, address: equalAddress });
    nodes = [
      await createNode({ name: 'nat-a', network: network(sites[0]), ...small }),
      await createNode({ name: 'nat-b', network: network(sites[1]), ...small }),
    ];
    for (const node of [outside, ...nodes]) await serve(node);
  });
  afterAll(async () => {
    for (const part of [...(nodes ?? []), outside, ...(sites ?? []), upstream])
      await part?.destroy();
  });

  test('nodes with one address reach the outside, each under the address of its router', async () => {
    for (const [index, node] of nodes.entries()) {
      expect(node.address).toBe(equalAddress);
      expect(await node.run(ask(outside.address))).toBe(
        `you are ${sites[index === 0 ? 0 : 1].publicAddress}\n`,
      );
    }
  });

  test('nothing outside reaches them, also with a route', async () => {
    await outside.run(['ip', 'route', 'replace', '192.168.77.0/24', 'via', sites[0].publicAddress]);
    for (const address of [equalAddress, sites[0].publicAddress, sites[1].publicAddress]) {
      const answer = await outside.exec(ask(address, 1));
      expect(answer.stderr, address).toContain('no connection');
    }
    const other = await nodes[1].exec(ask(sites[0].publicAddress, 1));
    expect(other.stderr).toContain('no connection');
  });

  test('nodes of one site reach each other', async () => {
    await using neighbour = await createNode({
      name: 'nat-neighbour',
      network: { site: sites[0] },
      ...small,
    });
    expect(neighbour.address).not.toBe(equalAddress);
    expect(await neighbour.run(ask(equalAddress))).toBe(`you are ${neighbour.address}\n`);
  });

  test('a cut link is silent, for that site only, and connections go on after it', async () => {
    const talk = nodes[0].spawn(['perl', '-e', talker(outside.address)]);
    try {
      await saysNext(talk, 'you are');
      await sites[0].cutLink();
      await saysNext(talk, 'silence');
      await expect(nodes[0].run(ask(outside.address, 1))).rejects.toThrow('no connection');
      expect(await nodes[1].run(ask(outside.address))).toContain(sites[1].publicAddress);
      await sites[0].restoreLink();
      await saysNext(talk, 'you are');
      expect(talk.exitCode).toBeUndefined();
    } finally {
      talk.kill('SIGKILL');
    }
  });

  test('loses as many packets as it is told', async () => {
    await sites[0].setLoss(0.2);
    const received = await receivedOf500(nodes[0], outside);
    // Nine standard deviations off is no accident.
    expect(received).toBeGreaterThan(320);
    expect(received).toBeLessThan(480);
    await sites[0].restoreLink();
    expect(await nodes[0].run(ask(outside.address))).toContain('you are');
  });

  test('a slow line is as slow and as bad as it is told, and an ordinary one afterwards', async () => {
    const connect = `use Time::HiRes 'time'; my $t = time;
      my $c = IO::Socket::INET->new("${outside.address}:7000") or die $!; printf "%d", (time - $t) * 1000;`;
    const connectMs = async () =>
      Number(await nodes[0].run(['perl', '-MIO::Socket::INET', '-e', connect]));
    {
      await using _line = await slowDownLink(sites[0], { delayMs: 100, lossFraction: 0 });
      const slowMs = async () => {
        const elapsedMs = await connectMs();
        expect(elapsedMs).toBeGreaterThanOrEqual(200);
        return elapsedMs;
      };
      expect(await quickest(slowMs, 1000)).toBeLessThan(1000);
    }
    expect(await quickest(connectMs, 200)).toBeLessThan(200);
    {
      await using _line = await slowDownLink(sites[0], { delayMs: 1, lossFraction: 0.2 });
      const received = await receivedOf500(nodes[0], outside);
      expect(received).toBeGreaterThan(320);
      expect(received).toBeLessThan(480);
    }
    expect(await receivedOf500(nodes[0], outside)).toBe(500);
  });

  test('a router that forgets its connections lets nothing in that was open', async () => {
    const holder = outside.spawn([
      'perl',
      '-MIO::Socket::INET',
      '-e',
      `$| = 1; my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 7001, ReuseAddr => 1) or die $!;
       print "listening\\n"; my $c = $s->accept; print "accepted\\n";
       while (1) { print $c "tick\\n"; $c->flush; select undef, undef, undef, 0.1 }`,
    ]);
    await saysNext(holder, 'listening');
    const listener = nodes[0].spawn([
      'perl',
      '-MIO::Socket::INET',
      '-e',
      `use IO::Select; $| = 1; my $c = IO::Socket::INET->new("${outside.address}:7001") or die $!;
       while (1) { if (IO::Select->new($c)->can_read(1)) { my $l = <$c>; print $l } else { print "silence\\n" } }`,
    ]);
    try {
      await saysNext(listener, 'tick');
      // Acknowledgements would open the way again; a quiet machine sends none.
      await nodes[0].run(['nft', 'add', 'table', 'ip', 'quiet']);
      await nodes[0].run([
        'nft',
        'add chain ip quiet output { type filter hook output priority 0; policy drop; }',
      ]);
      await sites[0].forgetConnections();
      await saysNext(listener, 'silence');
    } finally {
      await nodes[0].run(['nft', 'delete', 'table', 'ip', 'quiet']);
      holder.kill('SIGKILL');
      listener.kill('SIGKILL');
    }
  });
});

describe.skipIf(nodeSkipReason() !== undefined)('removal of sites behind NAT', () => {
  test('a node is switched off and on again, without a default route when told so', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-nat-'));
    try {
      await using upstream = await createSite('nat-power-up');
      await using site = await createNatSite({ name: 'nat-power', upstream });
      const options = { name: 'nat-power', directory, ...small };
      const first = await createNode({ ...options, network: { site, address: equalAddress } });
      expect(await first.run(['ip', 'route', 'show', 'default'])).toContain('192.168.77.1');
      await first.cutPower();
      await using second = await createNode({
        ...options,
        network: { site, address: equalAddress, wantsDefaultRoute: false },
      });
      expect(await second.run(['ip', 'route', 'show', 'default'])).toBe('');
      expect(second.address).toBe(equalAddress);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('a router behind a router', async () => {
    await using upstream = await createSite('nat-two-up');
    await using carrier = await createNatSite({
      name: 'nat-carrier',
      upstream,
      subnet: '100.64.7.0/24',
    });
    await using home = await createNatSite({ name: 'nat-home', upstream: carrier });
    await using outside = await createNode({
      name: 'nat-two-outside',
      network: { site: upstream },
      ...small,
    });
    await using inside = await createNode({
      name: 'nat-two-inside',
      network: { site: home },
      ...small,
    });
    await serve(outside);
    expect(await inside.run(ask(outside.address))).toBe(`you are ${carrier.publicAddress}\n`);
  });

  test('what a killed run has left, the next one removes', async () => {
    const support = path.resolve(import.meta.dirname, '../../support/node');
    await killRunOf(`
      const { createNode } = await import(${JSON.stringify(`${support}/create-node.ts`)});
      const { createSite } = await import(${JSON.stringify(`${support}/create-site.ts`)});
      const { createNatSite } = await import(${JSON.stringify(`${support}/create-nat-site.ts`)});
      const upstream = await createSite('nat-lost-up');
      const site = await createNatSite({ name: 'nat-lost', upstream });
      await createNode({ name: 'nat-lost', network: { site }, ...${JSON.stringify(small)} });`);
    // Every run that makes a node does this first: another test file's may have been quicker.
    await cleanStaleNodes();
    const file = namespaceFile('site.nat-lost');
    expect(existsSync(file)).toBe(false);
    expect(await readFile('/proc/self/mounts', 'utf8')).not.toContain(file);
    const links = await readdir('/sys/class/net');
    expect(links).not.toContain(linkName('router', 'site.nat-lost'));
    expect(links).not.toContain(linkName('bridge', 'nat-lost-up'));
    expect((await listRecords()).map(({ name }) => name).join()).not.toContain('nat-lost');
  });
});

/** How many of 500 datagrams arrive. */
async function receivedOf500(from: TestNode, at: TestNode): Promise<number> {
  const counter = at.spawn([
    'perl',
    '-MIO::Socket::INET',
    '-e',
    // Room for all of them (SO_RCVBUFFORCE): on a busy machine the kernel would lose what this one has no time for.
    `use Socket; $| = 1; my $s = IO::Socket::INET->new(LocalPort => 7002, Proto => "udp") or die $!;
     setsockopt($s, SOL_SOCKET, 33, pack("i", 8 << 20)) or die $!; print "listening\\n";
     my $count = 0; while (1) { $s->recv(my $m, 9); last if $m eq "end"; $count++ } print "received $count\\n";`,
  ]);
  await saysNext(counter, 'listening');
  const send = `my $s = IO::Socket::INET->new(PeerAddr => "${at.address}:7002", Proto => "udp") or die $!;
    for (1..500) { $s->send("x"); select undef, undef, undef, 0.001 }
    for (1..30) { $s->send("end") or last }`;
  await from.run(['perl', '-MIO::Socket::INET', '-e', send]);
  await counter.exited;
  return Number(/received (\d+)/.exec(counter.output())?.[1]);
}

/** Waits for output that is new. */
async function saysNext(process: NodeProcess, text: string): Promise<void> {
  const before = process.output().length;
  await waitFor(() => process.output().slice(before).includes(text), {
    subject: `"${text}" in the output`,
    timeoutMs: 60_000,
  });
}
