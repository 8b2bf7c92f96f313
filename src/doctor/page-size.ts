import { readFile } from 'node:fs/promises';
import type { Verdict } from './types.ts';

/** Of the auxiliary vector that the kernel gives each program. @see https://man7.org/linux/man-pages/man3/getauxval.3.html */
const pageSizeKey = 6n;
const usualBytes = 4096;

export async function examinePageSize(): Promise<Verdict[]> {
  return judgePageSize(parsePageSize(await readFile('/proc/self/auxv')));
}

/** Pure. @param bytes undefined when the kernel does not say. */
export function judgePageSize(bytes: number | undefined): Verdict[] {
  if (bytes === undefined) return [{ state: 'skipped', why: 'the kernel does not tell it' }];
  const what = `${bytes / 1024} KiB`;
  if (bytes === usualBytes) return [{ state: 'ok', what }];
  return [
    {
      state: 'warn',
      what,
      why: 'nothing of mini-k8s minds, but images whose allocator was built for 4 KiB end at once ("Unsupported system page size": Envoy, older Redis and others with jemalloc)',
      fix: 'on a Raspberry Pi 5: add kernel=kernel8.img to /boot/firmware/config.txt, and reboot',
    },
  ];
}

/** `/proc/self/auxv` of a 64-bit process: pairs of key and value. */
export function parsePageSize(auxv: Buffer): number | undefined {
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    if (auxv.readBigUInt64LE(at) === pageSizeKey) return Number(auxv.readBigUInt64LE(at + 8));
  }
  return undefined;
}
