import type { TestNode } from '../node/types.ts';

/** Everything of a machine that a Kubernetes node changes, as lines per kind: two of them can be compared. */
export type MachineSnapshot = Readonly<Record<string, readonly string[]>>;

/**
 * One command per kind; each line of output is one thing. Left out: counters, ages, and what the kernel does by itself
 * after a link comes up (IPv6 link-local routes).
 */
const commands: Readonly<Record<string, string>> = {
  process: 'ps -e -o args= | grep -vE "^(ps|grep|sort|sh|sleep|nsenter) ?"',
  link: 'ip -o link | cut -d" " -f2',
  address: 'ip -o -4 address | tr -s " " | cut -d" " -f2-4',
  route: 'ip -4 route show table all',
  rule: 'ip rule; ip -6 rule',
  nftables: 'nft list ruleset | sed "s/counter packets [0-9]* bytes [0-9]*/counter/"',
  iptables:
    'for t in iptables ip6tables iptables-legacy ip6tables-legacy; do $t-save 2>/dev/null; done | sed "/^#/d; s/ \\[[0-9:]*\\]$//"',
  ipset: 'ipset list',
  mount: 'cut -d" " -f4,5 /proc/self/mountinfo',
  namespace: 'ls /run/netns 2>/dev/null',
  cgroup: 'find /sys/fs/cgroup -type d',
  // The lock file of iptables itself stays: to delete a lock would allow two at a time.
  file: `for d in /var/lib /var/log /etc /opt /run /usr/libexec /lib/modules; do
    find $d ! -path /run/xtables.lock -printf '%p %y %m %U %l\\n' 2>/dev/null; done`,
  sysctl: `sysctl -a 2>/dev/null |
    grep -E '^(net\\.(ipv4|ipv6|bridge)\\.|kernel\\.(panic|keys\\.root)|vm\\.(overcommit|panic))'`,
};

export async function snapshotMachine(node: TestNode): Promise<MachineSnapshot> {
  const snapshot: Record<string, readonly string[]> = {};
  for (const [kind, command] of Object.entries(commands)) {
    const { stdout } = await node.exec(['sh', '-c', command]);
    snapshot[kind] = stdout.split('\n').filter((line) => line.trim() !== '');
  }
  return snapshot;
}

/** `file: + /etc/cni d 755` for what came, `-` for what went, empty when nothing differs. */
export function compareSnapshots(before: MachineSnapshot, after: MachineSnapshot): string[] {
  return Object.keys(commands).flatMap((kind) => {
    const old = before[kind] ?? [];
    const current = after[kind] ?? [];
    return [
      ...current.filter((line) => !old.includes(line)).map((line) => `${kind}: + ${line}`),
      ...old.filter((line) => !current.includes(line)).map((line) => `${kind}: - ${line}`),
    ];
  });
}
