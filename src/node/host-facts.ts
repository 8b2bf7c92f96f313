import { execFile } from 'node:child_process';
import { readFile, statfs, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { promisify } from 'node:util';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import { parseIpv4, renderIpv4 } from '../base/ip.ts';
import { isLoopback, parseNameservers } from '../base/nameservers.ts';
import type { HostAddress, HostFacts } from '../config/host-facts.ts';
import { orderAddresses } from '../config/node-address.ts';
import { probeNegativeOomScore } from './oom-probe.ts';

const run = promisify(execFile);

/** `f_type` of cgroup2 in statfs(2): the test that kubelet and runc use themselves. */
const cgroup2Magic = 0x63677270;

/** Where the components look for programs too; a shell's own PATH may lack the directories of administration. */
const administrationPath = '/usr/local/sbin:/usr/sbin:/sbin';

export interface HostFactsOptions {
  /** Holds the address that the node had at its last start; there is none before the first. */
  readonly lastAddressFile: string;
}

/**
 * Reads everything about the machine that planning needs. Effects: starts `nft`, `iptables` and one `sleep`.
 * @throws UserError on a machine without cgroups.
 */
export async function gatherHostFacts(options: HostFactsOptions): Promise<HostFacts> {
  const [meminfo, machineId, cgroupVersion, route, resolvConf, etcdUser, lastAddress] =
    await Promise.all([
      readFile('/proc/meminfo', 'utf8'),
      readTextIfExists('/etc/machine-id'),
      readCgroupVersion(),
      readTextIfExists('/proc/net/route'),
      findResolvConf(),
      findUser('etcd'),
      readLastAddress(options.lastAddressFile),
    ]);
  const [nft, iptables, allowsNegativeOomScore] = await Promise.all([
    commandOutput('nft', ['--version']),
    commandOutput('iptables', ['--version']),
    probeNegativeOomScore(),
  ]);
  const gateway = route === undefined ? undefined : parseDefaultGateway(route);
  return {
    hostname: os.hostname(),
    machineId: (machineId ?? '').trim(),
    arch: machineArch(),
    memoryBytes: meminfoBytes(meminfo, 'MemTotal'),
    cpus: os.availableParallelism(),
    cgroupVersion,
    isSystemd: (await readTextIfExists('/proc/1/comm'))?.trim() === 'systemd',
    addresses: orderAddresses(readAddresses(), gateway?.interface),
    ...(lastAddress === undefined ? {} : { lastAddress }),
    ...(gateway === undefined ? {} : { defaultGateway: gateway.address }),
    ...(etcdUser === undefined ? {} : { etcdUser }),
    resolvConf,
    hasNftables: nft !== undefined && isNftUsable(nft),
    hasIptables: iptables !== undefined,
    allowsNegativeOomScore,
    allowsConntrackSysctls: await canWriteConntrackMax(),
    swapBytes: meminfoBytes(meminfo, 'SwapTotal'),
  };
}

/** kube-proxy's nftables mode needs nft 1.0.1. @see https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-nftables */
export function isNftUsable(versionOutput: string): boolean {
  const match = /v(\d+)\.(\d+)\.(\d+)/.exec(versionOutput);
  if (match === null) return false;
  const [major = 0, minor = 0, patch = 0] = match.slice(1).map(Number);
  return major > 1 || (major === 1 && (minor > 0 || patch >= 1));
}

/** The gateway and interface of the default route in `/proc/net/route`. */
export function parseDefaultGateway(
  text: string,
): { interface: string; address: string } | undefined {
  for (const line of text.split('\n').slice(1)) {
    const [name, destination, gateway, , , , , mask] = line.split('\t');
    if (name === undefined || destination !== '00000000' || mask !== '00000000') continue;
    const bytes = Buffer.from(gateway ?? '', 'hex');
    if (bytes.length === 4) return { interface: name, address: renderIpv4(bytes.readUInt32LE(0)) };
  }
  return undefined;
}

/** The value of a `/proc/meminfo` line in bytes; 0 when it is missing. */
export function meminfoBytes(text: string, key: string): number {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text);
  return Number(match?.[1] ?? 0) * 1024;
}

function readAddresses(): HostAddress[] {
  return Object.entries(os.networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? [])
      .filter((entry) => entry.family === 'IPv4' && isReachable(entry.address))
      .map((entry) => ({
        interface: name,
        address: entry.address,
        prefix: Number(entry.cidr?.split('/')[1] ?? 32),
      })),
  );
}

/** An address on `lo` counts when others could reach it: that is how a node keeps one without a network. */
export function isReachable(address: string): boolean {
  return !/^(127\.|169\.254\.)/.test(address);
}

async function readCgroupVersion(): Promise<'v1' | 'v2'> {
  try {
    return Number((await statfs('/sys/fs/cgroup')).type) === cgroup2Magic ? 'v2' : 'v1';
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new UserError({
      what: 'run containers on this machine',
      why: '/sys/fs/cgroup is not there',
      fix: 'mount cgroups: mount -t cgroup2 none /sys/fs/cgroup',
    });
  }
}

/** Anything but an address counts as none: a power cut may have left the file empty. */
async function readLastAddress(file: string): Promise<string | undefined> {
  const text = await readTextIfExists(file).catch((error: unknown) => {
    // Only root may look into the state directory; a dry run of another user goes without.
    if (errorCode(error) === 'EACCES') return undefined;
    throw error;
  });
  const address = (text ?? '').trim();
  return parseIpv4(address) === undefined ? undefined : address;
}

/** Pods need nameservers that they can reach: a loopback resolver of systemd has its real list elsewhere. */
async function findResolvConf(): Promise<HostFacts['resolvConf']> {
  const candidates = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];
  const files = await Promise.all(
    candidates.map(async (file) => ({
      path: file,
      nameservers: parseNameservers((await readTextIfExists(file)) ?? ''),
    })),
  );
  return chooseResolvConf(files);
}

/** The first file with nameservers that are all reachable from a pod; none is better than one that leads to nowhere. */
export function chooseResolvConf(
  files: readonly HostFacts['resolvConf'][],
): HostFacts['resolvConf'] {
  const usable = files.filter(({ nameservers }) => nameservers.length > 0);
  return (
    usable.find(({ nameservers }) => !nameservers.some(isLoopback)) ??
    usable.find(({ nameservers }) => !nameservers.every(isLoopback)) ?? {
      path: '',
      nameservers: [],
    }
  );
}

async function findUser(name: string): Promise<{ uid: number; gid: number } | undefined> {
  const passwd = (await readTextIfExists('/etc/passwd')) ?? '';
  const line = passwd.split('\n').find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid === undefined || gid === undefined
    ? undefined
    : { uid: Number(uid), gid: Number(gid) };
}

async function commandOutput(
  command: string,
  args: readonly string[],
): Promise<string | undefined> {
  try {
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${administrationPath}` };
    return (await run(command, [...args], { timeout: 10_000, env })).stdout;
  } catch {
    // Not there, or not usable: either way planning must not count on it.
    return undefined;
  }
}

/** Outside the first network namespace the file is there and refuses, or is not there at all. */
async function canWriteConntrackMax(): Promise<boolean> {
  const file = '/proc/sys/net/netfilter/nf_conntrack_max';
  const current = await readTextIfExists(file);
  if (current === undefined) return false;
  try {
    await writeFile(file, current);
    return true;
  } catch {
    return false;
  }
}

/** In the words that a person sees. */
export function machineArch(): HostFacts['arch'] {
  return process.arch === 'arm64' ? 'arm64' : 'amd64';
}
