import { waitFor } from '../base/time.ts';
import { removeIptablesRules, removeUnusedIptablesTables } from './iptables-rules.ts';
import { runTool, type ToolRunner, toolOutput } from './run-tool.ts';

/** Tables of our own, of kube-proxy, kube-router and the portmap plugin. */
const ourTables = /^(mini_k8s_|kube-proxy|kube-router|cni_hostport)/;
const ourSets = /^(inet6:)?(kube-router-|KUBE-)/;
const ourLinks = /^(kube-bridge|kube-dummy-if|kube-ipvs0|tun-[0-9a-f]+)$/;

/** kube-router's own routing tables, by the numbers that it uses. */
const policyTables = ['77', '78', '79'];

/** How kube-router signs its routes to the pods of other nodes on the same network. */
const routeProtocol = '17';

/** One kind of thing that the cluster's network leaves in the kernel, and its removal. */
export interface NetworkRemoval {
  /** As in "Cannot remove <subject>". */
  readonly subject: string;
  /** Idempotent. Returns what was removed, for a person. */
  remove(): Promise<string[]>;
}

/**
 * The removals of every packet filter rule, set, link and route of the cluster's network, in the order in which they
 * depend on each other. Independent enough that a failure of one is no reason to skip the others.
 */
export function networkRemovals(run: ToolRunner = runTool): NetworkRemoval[] {
  const removals: Record<string, (run: ToolRunner) => Promise<string[]>> = {
    'nftables tables': removeNftTables,
    'iptables rules': removeIptablesRules,
    'empty iptables tables': removeUnusedIptablesTables,
    'IP sets': removeIpsets,
    'network links': removeLinks,
    'routing rules': removePolicyRoutes,
    'routes to other nodes': removeNodeRoutes,
  };
  return Object.entries(removals).map(([subject, remove]) => ({
    subject,
    remove: () => remove(run),
  }));
}

async function removeNftTables(run: ToolRunner): Promise<string[]> {
  const tables = ((await toolOutput(run, 'nft', ['list', 'tables'])) ?? '')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , name]) => name !== undefined && ourTables.test(name));
  for (const [, family = '', name = ''] of tables) {
    await run('nft', ['delete', 'table', family, name]);
  }
  return tables.map(([, family, name]) => `nftables table ${family} ${name}`);
}

/** The kernel lets go of a set only some time after the last rule that named it. */
const setReleaseMs = 5_000;

async function removeIpsets(run: ToolRunner): Promise<string[]> {
  const names = ((await toolOutput(run, 'ipset', ['list', '-n'])) ?? '')
    .split('\n')
    .filter((name) => ourSets.test(name));
  for (const name of names) await destroySet(run, name);
  return names.length === 0 ? [] : [`${names.length} IP sets`];
}

async function destroySet(run: ToolRunner, name: string): Promise<void> {
  let said = '';
  await waitFor(
    async () => {
      try {
        await run('ipset', ['destroy', name]);
        return true;
      } catch (error) {
        said = String(error);
        if (!/in use by a kernel component/.test(said)) throw error;
        return false;
      }
    },
    { subject: `IP set ${name} to be free`, timeoutMs: setReleaseMs, describe: () => said },
  );
}

interface Link {
  readonly ifname: string;
  readonly master?: string;
}

async function removeLinks(run: ToolRunner): Promise<string[]> {
  const links = await readJson<Link>(run, ['link', 'show']);
  // Veths of pods whose namespace is gone left with it; the others go by their end here.
  const ours = [
    ...links.filter((link) => link.master === 'kube-bridge'),
    ...links.filter((link) => ourLinks.test(link.ifname)),
  ];
  const removed: string[] = [];
  for (const { ifname } of ours) {
    if (!(await deleteLink(run, ifname))) continue;
    removed.push(`link ${ifname}`);
  }
  return removed;
}

/** False when it has gone meanwhile: the kernel ends a pod's namespace in its own time, and its veth with it. */
async function deleteLink(run: ToolRunner, name: string): Promise<boolean> {
  try {
    await run('ip', ['link', 'delete', name]);
    return true;
  } catch (error) {
    const rest = await readJson<Link>(run, ['link', 'show']);
    if (rest.some((link) => link.ifname === name)) throw error;
    return false;
  }
}

interface Rule {
  readonly priority: number;
  readonly table?: string;
}

async function removePolicyRoutes(run: ToolRunner): Promise<string[]> {
  const rules = await readJson<Rule>(run, ['rule', 'show']);
  const ours = rules.filter((rule) => policyTables.includes(String(rule.table)));
  for (const { priority, table } of ours) {
    // With the table, since somebody else's rule may have the same priority.
    await run('ip', ['rule', 'delete', 'priority', String(priority), 'table', String(table)]);
    // Its routes went with their links, and with the last route the table.
    await toolOutput(run, 'ip', ['route', 'flush', 'table', String(table)]);
  }
  return ours.length === 0 ? [] : [`${ours.length} routing rules`];
}

interface Route {
  readonly dst: string;
}

/** They go through the machine's own network card, and so no link takes them along. */
async function removeNodeRoutes(run: ToolRunner): Promise<string[]> {
  const routes = await readJson<Route>(run, ['-4', 'route', 'show', 'proto', routeProtocol]);
  for (const { dst } of routes) {
    await run('ip', ['-4', 'route', 'delete', dst, 'proto', routeProtocol]);
  }
  return routes.map(({ dst }) => `route to ${dst}`);
}

async function readJson<T>(run: ToolRunner, args: readonly string[]): Promise<T[]> {
  const text = ((await toolOutput(run, 'ip', ['-json', ...args])) ?? '').trim();
  return text === '' ? [] : (JSON.parse(text) as T[]);
}
