import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { nearestDirectory } from './data-directory.ts';
import { type CommandOutcome, runCommand } from './run-command.ts';

/** What of the kernel a node, or its pod network, uses. */
export type Feature =
  | 'overlay'
  | 'veth'
  | 'bridge'
  | 'vxlan'
  | 'nftables'
  | 'iptables'
  | 'conntrack'
  | 'ipset';

export type FeatureOutcome =
  | { readonly type: 'works' }
  | { readonly type: 'failed'; readonly message: string }
  /** The tool to try it with is not here. */
  | { readonly type: 'untried'; readonly why: string };

interface Trial {
  /** Without one of them, nothing is learned of the kernel. */
  readonly tools: readonly string[];
  /** For `sh -eu`, in namespaces of its own; `$1` is an empty directory on the data directory's file system. */
  readonly script: string;
}

const trials: Readonly<Record<Feature, Trial>> = {
  overlay: {
    tools: ['mount'],
    script: `cd "$1"; mkdir lower upper work merged; echo below > lower/a
      mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
      grep -q below merged/a; echo above > merged/b; grep -q above upper/b; umount merged`,
  },
  veth: { tools: ['ip'], script: 'ip link add probe0 type veth peer name probe1' },
  bridge: { tools: ['ip'], script: 'ip link add probe0 type bridge' },
  vxlan: {
    tools: ['ip'],
    script: 'ip link add probe0 type vxlan id 7 dstport 4789 local 127.0.0.1',
  },
  // What kube-proxy's rules are made of: chance, local addresses, translation both ways.
  nftables: {
    tools: ['nft'],
    script: `echo 'table ip probe {
      chain one { meta l4proto tcp dnat to 192.0.2.1:80; }
      chain two { accept; }
      chain services { numgen random mod 2 vmap { 0 : goto two, 1 : goto two }; }
      chain before { type nat hook prerouting priority -100; fib daddr type local tcp dport 80 goto one; jump services; }
      chain after { type nat hook postrouting priority 100; masquerade; }
    }' | nft -f -`,
  },
  iptables: {
    tools: ['iptables'],
    script:
      'iptables -w 5 -A FORWARD -m comment --comment probe -m conntrack --ctstate ESTABLISHED -j ACCEPT',
  },
  // By whichever of the two is here.
  conntrack: {
    tools: ['nft', 'iptables'],
    script: `if command -v nft >/dev/null; then
      echo 'table ip probe {
        chain forward { type filter hook forward priority 0; ct state established accept; }
      }' | nft -f -
    else iptables -w 5 -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; fi`,
  },
  ipset: { tools: ['ipset'], script: 'ipset create probe hash:ip; ipset add probe 192.0.2.1' },
};

export const features = Object.keys(trials) as Feature[];

/**
 * Tries each feature by using it, which loads the kernel's modules as its use by a node would. Each has a mount and a
 * network namespace of its own, which end with its process however that ends; the directory is removed.
 * @param dataDir need not exist; overlay is tried on its file system. @throws Error with a code when that cannot be written.
 */
export async function tryFeatures(
  dataDir: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<Feature, FeatureOutcome>> {
  const directory = await mkdtemp(path.join(await nearestDirectory(dataDir), '.probe-'));
  try {
    const outcomes = new Map<Feature, FeatureOutcome>();
    // One after the other: each is a few milliseconds of the machine's one CPU.
    for (const feature of features) {
      outcomes.set(feature, await tryFeature(feature, directory, signal));
    }
    return outcomes;
  } finally {
    // Of an interrupted trial, a program may still be writing its last.
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function tryFeature(
  feature: Feature,
  directory: string,
  signal: AbortSignal,
): Promise<FeatureOutcome> {
  const { tools, script } = trials[feature];
  // 69 is nobody else's: the tool is not there.
  const isOneHere = tools.map((tool) => `command -v ${tool}`).join(' || ');
  const guarded = `{ ${isOneHere}; } >/dev/null || exit 69\n${script}`;
  const outcome = await runCommand(
    'unshare',
    ['--mount', '--net', '--', 'sh', '-euc', guarded, 'sh', directory],
    signal,
  );
  if (feature === 'ipset' && isToolMissing(outcome)) return askForModule(signal);
  return judgeTrial(tools, outcome);
}

function judgeTrial(tools: readonly string[], outcome: CommandOutcome): FeatureOutcome {
  if (outcome.type === 'succeeded') return { type: 'works' };
  if (outcome.type === 'missing') {
    return { type: 'untried', why: 'unshare (util-linux) is not on this machine' };
  }
  if (isToolMissing(outcome)) {
    return { type: 'untried', why: `${tools.join(' or ')} is not on this machine` };
  }
  return { type: 'failed', message: outcome.message };
}

function isToolMissing(outcome: CommandOutcome): boolean {
  return outcome.type === 'failed' && outcome.exitCode === 69;
}

/** kube-router has the tool in its image, so machines have it seldom; the kernel's part may be there all the same. */
async function askForModule(signal: AbortSignal): Promise<FeatureOutcome> {
  const outcome = await runCommand('modprobe', ['--dry-run', '--quiet', 'ip_set_hash_ip'], signal);
  if (outcome.type === 'succeeded') return { type: 'works' };
  return { type: 'untried', why: 'ipset is not on this machine' };
}
