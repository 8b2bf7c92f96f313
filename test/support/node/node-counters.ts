import { readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../../src/base/errors.ts';
import { cgroupDirectory, cgroupPids } from './cgroup.ts';
import { type CgroupHierarchy, hierarchyOf, isUnified } from './cgroup-layout.ts';
import type { MemoryCounters, ProcessInfo } from './types.ts';

type Layout = readonly CgroupHierarchy[];

/** The processes of the node and its containers, without what waits on the host for one of them. */
export async function listProcesses(layout: Layout, name: string): Promise<readonly ProcessInfo[]> {
  const hostNamespace = await readlink('/proc/self/ns/pid');
  const pids = [...(await cgroupPids(layout, name))];
  const found = await Promise.all(pids.map((pid) => readProcess(pid, hostNamespace)));
  return found.filter((info) => info !== undefined).sort((a, b) => a.pid - b.pid);
}

/** The process whose PID in the node is 1. */
export async function findInit(layout: Layout, name: string): Promise<number | undefined> {
  for (const pid of await cgroupPids(layout, name)) {
    const status = await readGone(`/proc/${pid}/status`);
    const numbers = /^NSpid:\s*(.*)$/m.exec(status ?? '')?.[1]?.split(/\s+/);
    if (numbers?.length === 2 && numbers[1] === '1') return pid;
  }
  return undefined;
}

export async function readMemory(layout: Layout, name: string): Promise<MemoryCounters> {
  const group = cgroupDirectory(hierarchyOf(layout, 'memory'), name);
  const isV2 = isUnified(layout);
  const stat = parseCounters(await readFile(path.join(group, 'memory.stat'), 'utf8'));
  const oomFile = isV2 ? 'memory.events' : 'memory.oom_control';
  const oom = parseCounters(await readFile(path.join(group, oomFile), 'utf8'));
  const usage = isV2 ? 'memory.current' : 'memory.usage_in_bytes';
  return {
    usageBytes: Number(await readFile(path.join(group, usage), 'utf8')),
    pageCacheBytes: stat.get(isV2 ? 'file' : 'total_cache') ?? 0,
    oomKills: oom.get('oom_kill') ?? 0,
  };
}

export async function readCpuUsageMs(layout: Layout, name: string): Promise<number> {
  const group = cgroupDirectory(hierarchyOf(layout, 'cpuacct'), name);
  if (isUnified(layout)) {
    const stat = parseCounters(await readFile(path.join(group, 'cpu.stat'), 'utf8'));
    return (stat.get('usage_usec') ?? 0) / 1000;
  }
  return Number(await readFile(path.join(group, 'cpuacct.usage'), 'utf8')) / 1e6;
}

async function readProcess(pid: number, hostNamespace: string): Promise<ProcessInfo | undefined> {
  try {
    if ((await readlink(`/proc/${pid}/ns/pid`)) === hostNamespace) return undefined;
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    const name = (await readFile(`/proc/${pid}/comm`, 'utf8')).trim();
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
    const kilobytes = /^Anonymous:\s*(\d+) kB/m.exec(rollup)?.[1] ?? '0';
    return {
      pid,
      name,
      commandLine: commandLine.split('\0').slice(0, -1),
      anonymousBytes: Number(kilobytes) * 1024,
    };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

async function readGone(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function parseCounters(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').map((line) => line.split(' '));
  return new Map(lines.map(([key = '', value = '0']) => [key, Number(value)]));
}

/** Processes end while they are read; a zombie has no memory map. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(errorCode(error) ?? '');
}
