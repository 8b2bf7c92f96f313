import { type ToolRunner, toolOutput } from './run-tool.ts';

/** Chains of kube-proxy, kubelet, kube-router (all KUBE-) and of the CNI plugins portmap and bridge. */
const ourChains = /^(KUBE-|CNI-)/;

/** kube-router's rules in built-in chains need not jump to a chain of its own: they name its IP sets or say who they are. */
const ourMarks = [
  / --match-set (inet6:)?(kube-router-|KUBE-)/,
  / --comment "?kube-router/,
  / --comment "allow (inbound traffic to|outbound traffic from) pods"/,
  / --comment "allow outbound node port traffic on node interface with which node ip is associated"/,
];

/**
 * What `iptables-restore --noflush` needs to remove our chains, the rules in them and those that jump to them, out of
 * what `iptables-save` printed; undefined when nothing of it is ours. Everybody else's rules and counters are not
 * touched. Pure.
 * @see https://man7.org/linux/man-pages/man8/iptables-restore.8.html
 */
export function planIptablesRemoval(saved: string): string | undefined {
  const tables = saved
    .split(/^\*/m)
    .slice(1)
    .map((table) => planTable(table.split('\n')))
    .filter((table) => table !== undefined);
  return tables.length === 0 ? undefined : tables.join('');
}

function planTable([name = '', ...lines]: readonly string[]): string | undefined {
  const chains = lines
    .filter((line) => line.startsWith(':'))
    .map((line) => line.slice(1).split(' ')[0] ?? '')
    .filter((chain) => ourChains.test(chain));
  const rules = lines.filter(isOurRule);
  if (chains.length === 0 && rules.length === 0) return undefined;
  return [
    `*${name.trim()}`,
    // Naming a chain empties it: afterwards no chain is used by another and the order of -X does not matter.
    ...chains.map((chain) => `:${chain} - [0:0]`),
    ...rules.map((line) => line.replace(/^-A /, '-D ')),
    ...chains.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ].join('\n');
}

/** A rule in a chain that stays and that is, or leads to, ours. */
function isOurRule(line: string): boolean {
  const [verb, chain = ''] = line.split(' ');
  if (verb !== '-A' || ourChains.test(chain)) return false;
  const target = / -[jg] (\S+)/.exec(line)?.[1] ?? '';
  return ourChains.test(target) || ourMarks.some((mark) => mark.test(line));
}

/** Chains that iptables-nft makes in a table as soon as it looks at it. */
const builtInChains = /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/;

/**
 * Whether a table, as `nft list table` prints it, is one that iptables-nft made and nobody uses: built-in chains that
 * accept, without a rule, set or object. Pure.
 */
export function isUnusedIptablesTable(listing: string): boolean {
  const lines = listing
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== '}' && !line.startsWith('#'));
  return lines.slice(1).every((line) => {
    const chain = /^chain (\S+) \{$/.exec(line)?.[1];
    return chain === undefined
      ? /^type (filter|nat|route) hook \S+ priority [^;]+; policy accept;$/.test(line)
      : builtInChains.test(chain);
  });
}

const backends = ['iptables', 'ip6tables', 'iptables-legacy', 'ip6tables-legacy'];

/** Removes our rules from every backend of iptables that is installed. Returns what was removed, for a person. */
export async function removeIptablesRules(run: ToolRunner): Promise<string[]> {
  const removed: string[] = [];
  for (const backend of backends) {
    const saved = await toolOutput(run, `${backend}-save`, []);
    const removal = saved === undefined ? undefined : planIptablesRemoval(saved);
    if (removal === undefined) continue;
    await run(`${backend}-restore`, ['--noflush'], removal);
    removed.push(`${backend} rules`);
  }
  return removed;
}

/** Removes the tables that iptables-nft left behind without a use; iptables makes them again when it wants them. */
export async function removeUnusedIptablesTables(run: ToolRunner): Promise<string[]> {
  const tables = ((await toolOutput(run, 'nft', ['list', 'tables'])) ?? '').split('\n');
  const removed: string[] = [];
  for (const line of tables) {
    const match = /^table (ip|ip6) (filter|nat|mangle|raw|security)$/.exec(line);
    if (match === null) continue;
    const [, family = '', name = ''] = match;
    const listing = await toolOutput(run, 'nft', ['list', 'table', family, name]);
    if (listing === undefined || !isUnusedIptablesTable(listing)) continue;
    await run('nft', ['delete', 'table', family, name]);
    removed.push(`empty nftables table ${family} ${name}`);
  }
  return removed;
}
