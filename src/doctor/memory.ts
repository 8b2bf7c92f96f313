import { readFile } from 'node:fs/promises';
import type { Examination, Verdict } from './types.ts';

export interface MemoryFacts {
  readonly totalBytes: number;
  readonly availableBytes: number;
  readonly hasControlPlane: boolean;
  readonly isRunning: boolean;
}

const mebibyte = 1024 * 1024;

/** A board with 1 GB keeps up to 150 MiB of it for its GPU and firmware. */
const comfortableBytes = { controller: 800 * mebibyte, worker: 400 * mebibyte };
/** What a node of each kind takes with its addons, besides the page cache. */
const takenBytes = { controller: 420 * mebibyte, worker: 150 * mebibyte };

export async function examineMemory(machine: Examination): Promise<Verdict[]> {
  const { hasControlPlane, isRunning } = machine;
  const meminfo = await readFile('/proc/meminfo', 'utf8');
  return judgeMemory({
    totalBytes: kibibytes(meminfo, 'MemTotal') * 1024,
    availableBytes: kibibytes(meminfo, 'MemAvailable') * 1024,
    hasControlPlane,
    isRunning,
  });
}

/** Pure. */
export function judgeMemory(facts: MemoryFacts): Verdict[] {
  const { totalBytes, availableBytes } = facts;
  const kind = facts.hasControlPlane ? 'controller' : 'worker';
  const what = `${mebibytes(totalBytes)} MiB, ${mebibytes(availableBytes)} of them available`;
  if (totalBytes < comfortableBytes[kind]) {
    const why = `a ${kind} is made for ${kind === 'controller' ? '1 GB' : '512 MB'}: with less its programs are read from the disk again and again, and pods are evicted`;
    const fix =
      kind === 'controller'
        ? 'use a bigger machine, or this one as a worker; zram gives some room'
        : 'use a bigger machine; zram gives some room';
    return [{ state: 'warn', what, why, fix }];
  }
  if (!facts.isRunning && availableBytes < takenBytes[kind]) {
    const why = `a ${kind} with its addons takes about ${mebibytes(takenBytes[kind])} MiB`;
    return [{ state: 'warn', what, why, fix: 'stop what takes the memory: ps aux --sort -rss' }];
  }
  return [{ state: 'ok', what }];
}

function kibibytes(meminfo: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0);
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / mebibyte);
}
