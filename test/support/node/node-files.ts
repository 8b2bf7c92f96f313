import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface NodeFilesOptions {
  readonly name: string;
  readonly address: string;
  readonly nameservers: readonly string[];
  /** Undefined: the host's. */
  readonly memoryBytes: number | undefined;
  /** The CPU numbers that the node may use; undefined: the host's. */
  readonly cpuSet: string | undefined;
}

/** Writes what the node shall see in place of the host's files, by path below `directory`. */
export async function writeNodeFiles(directory: string, options: NodeFilesOptions): Promise<void> {
  const { name, address } = options;
  const files = new Map<string, string>([
    ['etc/hostname', `${name}\n`],
    ['etc/hosts', `127.0.0.1 localhost\n::1 localhost ip6-localhost\n${address} ${name}\n`],
    ['etc/machine-id', `${randomBytes(16).toString('hex')}\n`],
    ['etc/resolv.conf', options.nameservers.map((server) => `nameserver ${server}\n`).join('')],
    // kubelet compares it to learn of a restart; every start of a node is one.
    ['proc/sys/kernel/random/boot_id', `${randomUUID()}\n`],
  ]);
  if (options.memoryBytes !== undefined) {
    files.set(
      'proc/meminfo',
      renderMeminfo(await readFile('/proc/meminfo', 'utf8'), options.memoryBytes),
    );
  }
  if (options.cpuSet !== undefined) {
    files.set('proc/cpuinfo', selectCpus(await readFile('/proc/cpuinfo', 'utf8'), options.cpuSet));
    files.set('sys/devices/system/cpu/online', `${options.cpuSet}\n`);
  }
  for (const [file, content] of files) {
    const target = path.join(directory, file);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, content);
  }
}

/**
 * The host's /proc/meminfo as a machine with `memoryBytes` and no swap would show it when idle. It does not change
 * while the node runs: who wants to know about use asks the cgroup.
 */
export function renderMeminfo(hostMeminfo: string, memoryBytes: number): string {
  const totalKilobytes = Math.floor(memoryBytes / 1024);
  return hostMeminfo
    .split('\n')
    .map((line) => {
      const [key = '', value = ''] = line.split(/:\s*/);
      if (key === 'MemTotal') return renderLine(key, totalKilobytes);
      if (key.startsWith('Swap')) return renderLine(key, 0);
      if (!value.endsWith('kB')) return line;
      const kilobytes = Number.parseInt(value, 10);
      const isTotal = /^(Vmalloc|CommitLimit|DirectMap)/.test(key);
      return isTotal
        ? line
        : renderLine(key, Math.min(kilobytes, Math.floor(totalKilobytes * 0.9)));
    })
    .join('\n');
}

/** The blocks of /proc/cpuinfo whose CPU is in the list (`0`, `0-1`, `1,3`). */
export function selectCpus(cpuinfo: string, cpuSet: string): string {
  const wanted = parseCpuSet(cpuSet);
  return cpuinfo
    .split(/\n\n+/)
    .filter((block) => {
      const number = /^processor\s*:\s*(\d+)/m.exec(block)?.[1];
      return number === undefined || wanted.has(Number(number));
    })
    .join('\n\n');
}

export function parseCpuSet(cpuSet: string): ReadonlySet<number> {
  const cpus = new Set<number>();
  for (const range of cpuSet.trim().split(',').filter(Boolean)) {
    const [first = 0, last = first] = range.split('-').map(Number);
    for (let cpu = first; cpu <= last; cpu += 1) cpus.add(cpu);
  }
  return cpus;
}

function renderLine(key: string, kilobytes: number): string {
  return `${`${key}:`.padEnd(16)}${String(kilobytes).padStart(8)} kB`;
}
