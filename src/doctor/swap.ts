import { stat } from 'node:fs/promises';
import { readTextIfExists } from '../base/files.ts';
import type { Verdict } from './types.ts';

/** One line of /proc/swaps. */
export interface SwapArea {
  readonly path: string;
  readonly type: 'partition' | 'file';
  readonly sizeBytes: number;
  readonly usedBytes: number;
  /** What it is kept on. */
  readonly medium: 'zram' | 'card' | 'disk';
}

export async function examineSwap(): Promise<Verdict[]> {
  const areas = parseSwaps((await readTextIfExists('/proc/swaps')) ?? '');
  return judgeSwap(
    await Promise.all(areas.map(async (area) => ({ ...area, medium: await mediumOf(area) }))),
  );
}

/** Pure. Nothing here prevents a start: kubelet runs with swap, and pods use none of it. */
export function judgeSwap(areas: readonly SwapArea[]): Verdict[] {
  if (areas.length === 0) return [{ state: 'ok', what: 'none' }];
  return areas.map(judgeArea);
}

function judgeArea({ path, sizeBytes, usedBytes, medium }: SwapArea): Verdict {
  const what = `${path}: ${mebibytes(sizeBytes)} MiB, ${mebibytes(usedBytes)} used`;
  switch (medium) {
    case 'zram':
      return { state: 'ok', what: `${what}, compressed in memory` };
    case 'card':
      return {
        state: 'warn',
        what,
        why: 'it is on an SD card: swapping wears it out, and etcd waits for it',
        fix: `swapoff ${path}, take it out of /etc/fstab (or: systemctl disable --now dphys-swapfile), and use zram`,
      };
    case 'disk':
      return { state: 'ok', what: `${what}, on a disk: what etcd has there comes back slowly` };
  }
}

/** The table of /proc/swaps, without its first line. Spaces in a path are written as \040. */
export function parseSwaps(table: string): Omit<SwapArea, 'medium'>[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns.length >= 4)
    .map(([path = '', type, size, used]) => ({
      path: path.replaceAll('\\040', ' '),
      type: type === 'file' ? 'file' : 'partition',
      sizeBytes: Number(size) * 1024,
      usedBytes: Number(used) * 1024,
    }));
}

/** Of SD cards and eMMC. @see https://www.kernel.org/doc/Documentation/admin-guide/devices.txt */
const cardMajor = 179;

async function mediumOf({ path, type }: Omit<SwapArea, 'medium'>): Promise<SwapArea['medium']> {
  if (/^\/dev\/zram\d+$/.test(path)) return 'zram';
  if (/^\/dev\/mmcblk\d/.test(path)) return 'card';
  if (type === 'partition') return 'disk';
  // A file that was removed while it is in use, or that only root sees.
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && majorOf(found.dev) === cardMajor ? 'card' : 'disk';
}

/** As glibc packs device numbers. */
function majorOf(device: number): number {
  return Number((BigInt(device) >> 8n) & 0xfffn);
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 / 1024);
}
