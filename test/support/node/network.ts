import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type Cidr,
  cidrsOverlap,
  nthAddress,
  parseCidr,
  parseIpv4,
  renderIpv4,
} from '../../../src/base/ip.ts';
import { runOnHost, tryOnHost } from './host-command.ts';
import { inNamespace } from './network-namespace.ts';
import { claimFile, filesIn, RECORD_DIRECTORY } from './node-record.ts';
import type { Site } from './types.ts';

/** 198.18.0.0/15: reserved for tests between networks (RFC 2544), outside every cluster default. */
const POOL_BASE = '198.18.0.0';
const POOL_SUBNETS = 512;
const PREFIX = 24;
const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

/** A /24 of the pool that no route of the host touches and no other node has, claimed for `owner`. */
export async function claimSubnet(owner: string): Promise<string> {
  const taken = await routedNetworks();
  const base = parseIpv4(POOL_BASE) ?? 0;
  for (let index = 0; index < POOL_SUBNETS; index += 1) {
    const cidr: Cidr = { base: base + index * 2 ** (32 - PREFIX), prefix: PREFIX };
    if (taken.some((other) => cidrsOverlap(cidr, other))) continue;
    const subnet = `${renderIpv4(cidr.base)}/${PREFIX}`;
    if (await claimFile(subnetFile(subnet), owner)) return subnet;
  }
  throw new Error(`No free /24 is left in ${POOL_BASE}/15`);
}

export async function releaseSubnet(subnet: string): Promise<void> {
  await rm(subnetFile(subnet), { force: true });
}

/** Frees the claims of owners that are no more (`isAlive` says which are). */
export async function releaseOrphanSubnets(
  isAlive: (owner: string) => Promise<boolean>,
): Promise<void> {
  for (const file of await filesIn(RECORD_DIRECTORY)) {
    if (!file.endsWith('.subnet')) continue;
    const full = path.join(RECORD_DIRECTORY, file);
    const owner = await readFile(full, 'utf8').catch(() => '');
    if (!(await isAlive(owner))) await rm(full, { force: true });
  }
}

/** The n-th address of a subnet in CIDR text. */
export function addressIn(subnet: string, n: number): string {
  const cidr = parseCidr(subnet);
  if (cidr === undefined) throw new Error(`${subnet} is no subnet`);
  return nthAddress(cidr, n);
}

/** Hands out the addresses of a subnet one after the other. */
export function siteAddresses(subnet: string, firstHost: number): () => string {
  let nextHost = firstHost;
  return () => {
    const address = addressIn(subnet, nextHost);
    nextHost += 1;
    return address;
  };
}

/** Kernel names of links have at most 15 characters, so they carry a hash of the node's. */
export function linkName(kind: 'veth' | 'bridge' | 'router', name: string): string {
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 9);
  return `${{ veth: 'mkn', bridge: 'mkb', router: 'mkr' }[kind]}${hash}`;
}

export function nftTableName(name: string): string {
  return `mini_k8s_node_${name.replaceAll('-', '_')}`;
}

export interface NodeLink {
  readonly hostLink: string;
  /** PID 1 of the node. */
  readonly pid: number;
  readonly address: string;
  readonly gateway: string;
  /** Absent: the host end carries the gateway's address itself. */
  readonly bridge: string | undefined;
  /** File of the namespace that the bridge is in; undefined: the host's. */
  readonly namespace: string | undefined;
  /** Default route through the gateway. */
  readonly wantsDefaultRoute: boolean;
}

/** Gives the node its `eth0`: address, default route through the host. */
export async function connectNode(link: NodeLink): Promise<void> {
  const ip = (...args: string[]) => runOnHost([...inNamespace(link.namespace), 'ip', ...args]);
  const inNode = (...args: string[]) =>
    runOnHost(['nsenter', '--target', String(link.pid), '--net', 'ip', ...args]);
  await ip(...`link add ${link.hostLink} type veth peer name eth0 netns ${link.pid}`.split(' '));
  if (link.bridge === undefined) {
    await ip('address', 'add', `${link.gateway}/${PREFIX}`, 'dev', link.hostLink);
  } else {
    await ip('link', 'set', link.hostLink, 'master', link.bridge);
  }
  await ip('link', 'set', link.hostLink, 'up');
  await inNode('link', 'set', 'lo', 'up');
  await inNode('address', 'add', `${link.address}/${PREFIX}`, 'dev', 'eth0');
  await inNode('link', 'set', 'eth0', 'up');
  if (link.wantsDefaultRoute) await inNode('route', 'add', 'default', 'via', link.gateway);
}

export interface RouterLegs {
  readonly upstream: Pick<Site, 'bridge' | 'namespace' | 'gateway'>;
  /** The upstream end of the public leg. */
  readonly upstreamLink: string;
  /** File of the router's namespace. */
  readonly namespace: string;
  readonly publicAddress: string;
  /** Of the private side, in which it is the router's. */
  readonly gateway: string;
}

/** Gives a router its `wan`, plugged into the upstream bridge, and its `lan`, a bridge for nodes. */
export async function plugRouter(legs: RouterLegs): Promise<void> {
  const { upstream, upstreamLink, namespace } = legs;
  const upstreamIp = (args: string) =>
    runOnHost([...inNamespace(upstream.namespace), 'ip', ...args.split(' ')]);
  const routerIp = (args: string) =>
    runOnHost([...inNamespace(namespace), 'ip', ...args.split(' ')]);
  await upstreamIp(`link add ${upstreamLink} type veth peer name wan netns ${namespace}`);
  await upstreamIp(`link set ${upstreamLink} master ${upstream.bridge}`);
  await upstreamIp(`link set ${upstreamLink} up`);
  await routerIp('link set lo up');
  await routerIp('link add lan type bridge forward_delay 0');
  await routerIp(`address add ${legs.gateway}/${PREFIX} dev lan`);
  await routerIp('link set lan up');
  await routerIp(`address add ${legs.publicAddress}/${PREFIX} dev wan`);
  await routerIp('link set wan up');
  await routerIp(`route add default via ${upstream.gateway}`);
  const forward = `echo 1 > ${IP_FORWARD}`;
  await runOnHost([...inNamespace(namespace), 'sh', '-c', forward]);
}

export async function createBridge(bridge: string, gateway: string): Promise<void> {
  await runOnHost(['ip', 'link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0']);
  await runOnHost(['ip', 'address', 'add', `${gateway}/${PREFIX}`, 'dev', bridge]);
  await runOnHost(['ip', 'link', 'set', bridge, 'up']);
}

/** Removes a veth (with its peer) or bridge; nothing there = nothing done. */
export async function removeLink(link: string, namespace?: string): Promise<void> {
  const ip = [...inNamespace(namespace), 'ip', 'link'];
  if ((await tryOnHost([...ip, 'show', 'dev', link])).exitCode !== 0) return;
  const result = await tryOnHost([...ip, 'delete', link]);
  // The kernel removes the veth of a dying network namespace on its own; it may win the race.
  if (result.exitCode === 0 || result.stderr.includes('Cannot find device')) return;
  throw new Error(`ip link delete ${link} failed: ${result.stderr}`);
}

export async function readIpForward(): Promise<string> {
  return (await readFile(IP_FORWARD, 'utf8')).trim();
}

export const IP_FORWARD_FILE = IP_FORWARD;

export async function enableIpForward(): Promise<void> {
  await writeFile(IP_FORWARD, '1');
}

/** Translates what the node sends to other networks than its own to the host's address. */
export async function addMasquerade(table: string, subnet: string): Promise<void> {
  const rules = `table ip ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnet} ip daddr != ${subnet} masquerade
  }
}`;
  await runOnHost(['nft', '-f', '-'], { input: rules });
}

export async function removeNftTable(table: string): Promise<void> {
  const result = await tryOnHost(['nft', 'delete', 'table', 'ip', table]);
  if (result.exitCode === 0 || /No such file or directory/.test(result.stderr)) return;
  if (result.exitCode === 127) return;
  throw new Error(`nft delete table ip ${table} failed: ${result.stderr}`);
}

/** The rules that a closed FORWARD chain (Docker, ufw) needs before it lets the node through; none when it is open. */
export async function neededForwardRules(
  hostLink: string,
): Promise<readonly (readonly string[])[]> {
  const policy = await tryOnHost(['iptables', '-S', 'FORWARD']);
  if (policy.exitCode !== 0 || !policy.stdout.includes('-P FORWARD DROP')) return [];
  return [
    ['FORWARD', '-i', hostLink, '-j', 'ACCEPT'],
    ['FORWARD', '-o', hostLink, '-j', 'ACCEPT'],
  ];
}

export async function addForwardRules(rules: readonly (readonly string[])[]): Promise<void> {
  for (const rule of rules) await runOnHost(['iptables', '-w', '-I', ...rule]);
}

export async function removeForwardRules(rules: readonly (readonly string[])[]): Promise<void> {
  for (const rule of rules) {
    const isThere = (await tryOnHost(['iptables', '-w', '-C', ...rule])).exitCode === 0;
    if (isThere) await runOnHost(['iptables', '-w', '-D', ...rule]);
  }
}

/** Networks of all routes but the default one. */
async function routedNetworks(): Promise<readonly Cidr[]> {
  const text = await runOnHost(['ip', '-4', '-json', 'route', 'show', 'table', 'all']);
  const routes = JSON.parse(text === '' ? '[]' : text) as { readonly dst?: string }[];
  return routes.flatMap(({ dst }) => {
    if (dst === undefined || dst === 'default') return [];
    const cidr = parseCidr(dst.includes('/') ? dst : `${dst}/32`);
    return cidr === undefined ? [] : [cidr];
  });
}

function subnetFile(subnet: string): string {
  return path.join(RECORD_DIRECTORY, `${subnet.replace('/', '-')}.subnet`);
}
