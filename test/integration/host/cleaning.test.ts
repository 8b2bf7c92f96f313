import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import {
  compareSnapshots,
  type MachineSnapshot,
  snapshotMachine,
} from '../../support/e2e/faults-snapshot.ts';
import { callHostEngine, hostEngineBinds } from '../../support/host-engine.ts';
import { createNode } from '../../support/node/create-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import type { TestNode } from '../../support/node/types.ts';

describe.skipIf(nodeSkipReason() !== undefined)('cleaning a machine', () => {
  let node: TestNode;
  let before: MachineSnapshot;
  const sh = (script: string) => node.run(['sh', '-euc', script]);
  const differences = async () => compareSnapshots(before, await snapshotMachine(node));

  beforeAll(async () => {
    node = await createNode({ name: 'host-cleaning', cpus: 'all', binds: hostEngineBinds });
    await sh(`
      iptables -N OWNER; iptables -A OWNER -s 192.0.2.1 -j DROP
      for chain in INPUT FORWARD OUTPUT; do iptables -A $chain -j OWNER; done
      for chain in PREROUTING INPUT OUTPUT POSTROUTING; do
        iptables -t nat -A $chain -s 192.0.2.1 -m comment --comment "not kube-router" -j RETURN; done
      nft add table inet owner; nft add table ip filter-of-owner
      ipset create owner hash:ip; ip link add owner type bridge
      ip rule add priority 32765 from 192.0.2.1 table 99
      ip route add 192.0.2.0/24 via ${node.gateway}`);
    before = await snapshotMachine(node);
  });
  afterAll(async () => {
    await node?.destroy();
  });

  test('rules, sets, links and routes of the cluster go, those of others stay', async () => {
    await sh(`
      ipset create kube-router-pod-subnets hash:net; ipset create inet6:kube-router-x hash:net family inet6
      iptables -N KUBE-A; iptables -N KUBE-B; iptables -A KUBE-A -j KUBE-B; iptables -A KUBE-B -j DROP
      iptables -I INPUT 1 -m comment --comment "kubernetes services" -j KUBE-A
      iptables -I OWNER 1 -j KUBE-B
      iptables -A FORWARD -o kube-bridge -m comment --comment "allow inbound traffic to pods" -j ACCEPT
      iptables -t nat -N CNI-HOSTPORT-DNAT; iptables -t nat -A PREROUTING -j CNI-HOSTPORT-DNAT
      iptables -t nat -A POSTROUTING -m set --match-set kube-router-pod-subnets src -j MASQUERADE
      iptables -t mangle -N KUBE-KUBELET-CANARY
      ip6tables -N KUBE-FIREWALL; ip6tables -A INPUT -j KUBE-FIREWALL
      nft add table ip kube-proxy; nft add table ip6 kube-proxy; nft add table ip cni_hostport
      ip link add kube-bridge type bridge; ip link add veth1234 type veth peer name peer1234
      ip link set veth1234 master kube-bridge; ip link set kube-bridge up
      ip address add 10.244.0.1/24 dev kube-bridge
      ip route add 10.9.0.0/16 dev kube-bridge table 77
      ip rule add priority 32765 from 10.244.0.0/24 table 77
      ip route add 10.244.7.0/24 via ${node.gateway} proto 17`);
    expect(await differences()).not.toEqual([]);
    const removed = await callHostEngine<string[]>(node, 'removeNetwork');
    expect(removed).toEqual(
      expect.arrayContaining([
        'nftables table ip kube-proxy',
        'nftables table ip6 kube-proxy',
        'nftables table ip cni_hostport',
        'iptables rules',
        'ip6tables rules',
        '2 IP sets',
        'link veth1234',
        'link kube-bridge',
        '1 routing rules',
        'route to 10.244.7.0/24',
      ]),
    );
    expect(await differences()).toEqual([]);
    expect(await callHostEngine(node, 'removeNetwork')).toEqual([]);
  });

  test('a set that a rule of somebody else holds is reported, not forgotten', async () => {
    await sh(
      `ipset create KUBE-HELD hash:ip; iptables -A OWNER -m set --match-set KUBE-HELD src -j DROP`,
    );
    // The rule names our set, so it goes; a set of sets is what still holds it.
    await sh(`ipset create holder list:set; ipset add holder KUBE-HELD`);
    await expect(callHostEngine(node, 'removeNetwork')).rejects.toThrow(
      /waiting for IP set KUBE-HELD to be free: .*in use by a kernel component/,
    );
    await sh(`ipset destroy holder`);
    expect(await callHostEngine(node, 'removeNetwork')).toEqual(['1 IP sets']);
    expect(await differences()).toEqual([]);
  });

  test('mounts below a directory go, nested, busy or strangely named; the one at the directory stays', async () => {
    await sh(`
      mkdir -p /var/lib/owned; mount -t tmpfs tmpfs /var/lib/owned
      mkdir -p '/var/lib/owned/a b/c'; mount -t tmpfs tmpfs '/var/lib/owned/a b'
      mkdir -p '/var/lib/owned/a b/c'; mount -t tmpfs tmpfs '/var/lib/owned/a b/c'
      mount -t tmpfs tmpfs '/var/lib/owned/a b/c'
      mkdir -p /var/lib/owned-by-others; mount -t tmpfs tmpfs /var/lib/owned-by-others`);
    const busy = node.spawn(['sh', '-c', 'echo in; exec sleep 60'], {
      cwd: '/var/lib/owned/a b/c',
    });
    await waitFor(() => busy.output().includes('in'), { subject: 'sleep', timeoutMs: 20_000 });
    expect(await callHostEngine(node, 'unmount', ['/var/lib/owned'])).toBe(3);
    expect(await callHostEngine(node, 'unmount', ['/var/lib/owned'])).toBe(0);
    const mounts = await node.run(['findmnt', '-rno', 'TARGET']);
    expect(mounts.split('\n').filter((line) => line.startsWith('/var/lib/owned'))).toEqual([
      '/var/lib/owned',
      '/var/lib/owned-by-others',
    ]);
    busy.kill('SIGKILL');
    await sh(
      'umount /var/lib/owned /var/lib/owned-by-others; rmdir /var/lib/owned /var/lib/owned-by-others',
    );
    expect(await differences()).toEqual([]);
  });

  test('processes of shims and pods end, their cgroups go, everybody else lives', async () => {
    await sh('cp /bin/sleep /var/lib/shim; cp /bin/sleep /var/lib/not-the-shim');
    const shim = node.spawn(['/var/lib/shim', '600']);
    const other = node.spawn(['/var/lib/not-the-shim', '600']);
    const join = `for h in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs -printf '%h\\n'); do
        mkdir -p "$h/kubepods/besteffort/pod1" 2>/dev/null && echo $$ > "$h/kubepods/besteffort/pod1/cgroup.procs" || true
      done; sleep 600 & echo joined; exec sleep 600`;
    const pod = node.spawn(['sh', '-c', join]);
    await waitFor(() => pod.output().includes('joined'), {
      subject: 'the pod to start',
      timeoutMs: 60_000,
      describe: () => pod.output(),
    });
    const shims = async () =>
      (await node.run(['ps', '-e', '-o', 'args='])).match(/^\/var.* 600$/gm);
    await waitFor(async () => (await shims())?.length === 2, {
      subject: 'shims',
      timeoutMs: 20_000,
    });
    expect((await differences()).filter((line) => line.startsWith('cgroup: + '))).not.toEqual([]);
    expect(await callHostEngine(node, 'endContainers', '/var/lib/shim')).toBe(3);
    expect(await shim.exited).toBe(137);
    expect(await pod.exited).toBe(137);
    expect(other.exitCode).toBeUndefined();
    expect(await callHostEngine(node, 'endContainers', '/var/lib/shim')).toBe(0);
    other.kill('SIGKILL');
    await other.exited;
    await sh('rm /var/lib/shim /var/lib/not-the-shim');
    expect(await differences()).toEqual([]);
  });
});
