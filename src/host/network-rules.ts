import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Chains, sets and tables of kube-proxy, kubelet, kube-router and the portmap plugin. */
const ourChains = /^(KUBE-|CNI-HOSTPORT|CNI-DN-|CNI-SN-)/;
const ourTables = /^(kube-proxy|kube-router)/;
const ourLinks = /^(kube-bridge|kube-dummy-if|kube-ipvs0|tun-[0-9a-f]+)$/;

/** Removes every packet filter rule, set and link of the cluster's network. Returns what was removed, for a person. */
export async function removeNetworkRules(): Promise<string[]> {
  return [
    ...(await removeNftTables()),
    ...(await cleanIptables('iptables')),
    ...(await cleanIptables('ip6tables')),
    ...(await cleanIptables('iptables-legacy')),
    ...(await cleanIptables('ip6tables-legacy')),
    ...(await removeIpsets()),
    ...(await removeLinks()),
    ...(await removePolicyRoutes()),
  ];
}

/**
 * What `iptables-save` printed, without our chains and without every rule that is in one or jumps to one; undefined
 * when nothing of it is ours. Pure.
 */
export function withoutOurRules(saved: string): string | undefined {
  const lines = saved.split('\n');
  const kept = lines.filter((line) => !isOurs(line));
  return kept.length === lines.length ? undefined : kept.join('\n');
}

function isOurs(line: string): boolean {
  const [first = '', chain = ''] = line.split(' ');
  if (first.startsWith(':')) return ourChains.test(first.slice(1));
  if (first !== '-A') return false;
  const target = / -[jg] (\S+)/.exec(line)?.[1] ?? '';
  // kube-router marks its rules in the built-in chains by a comment.
  return ourChains.test(chain) || ourChains.test(target) || /--comment "?kube-router/.test(line);
}

async function cleanIptables(tool: string): Promise<string[]> {
  const saved = await output(`${tool}-save`, []);
  if (saved === undefined) return [];
  const rest = withoutOurRules(saved);
  if (rest === undefined) return [];
  await pipe(`${tool}-restore`, rest);
  return [`${tool} rules`];
}

async function removeNftTables(): Promise<string[]> {
  const tables = ((await output('nft', ['list', 'tables'])) ?? '')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , name]) => name !== undefined && ourTables.test(name));
  for (const [, family = '', name = ''] of tables) {
    await run('nft', ['delete', 'table', family, name], { timeout: 10_000 });
  }
  return tables.map(([, family, name]) => `nftables table ${family} ${name}`);
}

async function removeIpsets(): Promise<string[]> {
  const names = ((await output('ipset', ['list', '-n'])) ?? '')
    .split('\n')
    .filter((name) => /^(kube-router-|KUBE-|inet6:kube-router-|inet6:KUBE-)/.test(name));
  for (const name of names) await run('ipset', ['destroy', name], { timeout: 10_000 });
  return names.length === 0 ? [] : [`${names.length} ip sets`];
}

async function removeLinks(): Promise<string[]> {
  const links = await listLinks();
  const bridge = links.find((link) => link.ifname === 'kube-bridge');
  // Veths of pods whose namespace is gone already left with it; the others go with their end here.
  const veths = links.filter((link) => bridge !== undefined && link.master === bridge.ifname);
  const ours = [...veths, ...links.filter((link) => ourLinks.test(link.ifname))];
  for (const link of ours) {
    await run('ip', ['link', 'delete', link.ifname], { timeout: 10_000 });
  }
  return ours.map((link) => `link ${link.ifname}`);
}

interface Link {
  readonly ifname: string;
  readonly master?: string;
}

async function listLinks(): Promise<Link[]> {
  return JSON.parse((await output('ip', ['-json', 'link', 'show'])) ?? '[]') as Link[];
}

/** kube-router's own routing tables, by the numbers that it uses. */
const policyTables = ['77', '78', '79'];

async function removePolicyRoutes(): Promise<string[]> {
  const rules = JSON.parse((await output('ip', ['-json', 'rule', 'show'])) ?? '[]') as {
    priority: number;
    table: string;
  }[];
  const ours = rules.filter((rule) => policyTables.includes(String(rule.table)));
  for (const rule of ours) {
    await run('ip', ['rule', 'delete', 'priority', String(rule.priority)], { timeout: 10_000 });
  }
  return ours.length === 0 ? [] : [`${ours.length} routing rules`];
}

/** The output of a tool; undefined where the machine does not have it. */
async function output(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await run(command, [...args], { timeout: 30_000, maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch {
    return undefined;
  }
}

async function pipe(command: string, input: string): Promise<void> {
  const child = spawn(command, [], { stdio: ['pipe', 'ignore', 'pipe'] });
  const errors: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} failed: ${Buffer.concat(errors).toString('utf8')}`);
}
