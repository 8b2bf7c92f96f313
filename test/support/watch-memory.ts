import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { sleep } from '../../src/base/time.ts';

/** How often memory is looked at, milliseconds: reading it costs the process a fraction of that. */
const intervalMs = 50;

/** The most anonymous memory of a process until its end, kB. */
export async function watchMemory(child: ChildProcess): Promise<number> {
  let peakKb = 0;
  while (child.exitCode === null && child.signalCode === null) {
    const rollup = await readFile(`/proc/${child.pid}/smaps_rollup`, 'utf8').catch(() => '');
    peakKb = Math.max(peakKb, Number(/^Anonymous:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0));
    await sleep(intervalMs);
  }
  return peakKb;
}
