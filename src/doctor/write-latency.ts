import { mkdtemp, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import { describeDiskError, nearestDirectory } from './data-directory.ts';
import type { Examination, Verdict } from './types.ts';

export interface LatencyFacts {
  readonly directory: string;
  /** One per write with fdatasync, milliseconds, in their order. */
  readonly samplesMs: readonly number[];
}

/** What etcd asks of a disk, at its 99th percentile. @see https://etcd.io/docs/v3.6/op-guide/hardware/#disks */
const wantedMs = 10;
/** From here on etcd itself complains in its log, and requests run into their time-outs. */
const alarmingMs = 1_000;

/** As big as a typical entry of etcd's log. */
const writeBytes = 2_300;
/** Enough for a hundredth to mean something; an SD card takes seconds for it, hence the bound. */
const writeCount = 100;
const patienceMs = 3_000;

export async function examineWriteLatency(
  { paths, hasControlPlane }: Examination,
  signal: AbortSignal,
): Promise<Verdict[]> {
  if (!hasControlPlane) return [];
  try {
    const directory = await nearestDirectory(paths.dataDir);
    return judgeLatency(await measureLatency(directory, signal));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    // That the disk is full or read-only is said where it prevents something.
    return [{ state: 'skipped', why: `nothing can be written: ${describeDiskError(error)}` }];
  }
}

/** Pure. */
export function judgeLatency({ directory, samplesMs }: LatencyFacts): Verdict[] {
  const sorted = samplesMs.toSorted((a, b) => a - b);
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const slowMs = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
  const what = `a write to ${directory} is on the disk after ${milliseconds(medianMs)}, in the slowest case of ${sorted.length} after ${milliseconds(sorted.at(-1) ?? 0)}`;
  if (slowMs <= wantedMs) return [{ state: 'ok', what }];
  return [
    {
      state: 'warn',
      what,
      why: `etcd wants 99 of 100 within ${wantedMs} ms: ${consequenceOf(medianMs, slowMs)}`,
      fix: 'put the data directory on a faster disk (a USB SSD instead of an SD card), and keep other writers off it',
    },
  ];
}

/** Every change of the cluster's state is one write, or a few that are made together. */
function consequenceOf(medianMs: number, slowMs: number): string {
  if (slowMs > alarmingMs) return 'requests that change something will time out';
  if (medianMs <= wantedMs) return 'changes in the cluster take long now and then';
  const perSecond = Math.max(1, Math.floor(1000 / medianMs));
  return `every change in the cluster waits for it, so that about ${perSecond} a second are possible`;
}

async function measureLatency(directory: string, signal: AbortSignal): Promise<LatencyFacts> {
  const temporary = await mkdtemp(path.join(directory, '.probe-'));
  try {
    const handle = await open(path.join(temporary, 'log'), 'w');
    try {
      return { directory, samplesMs: await measureWrites(handle, signal) };
    } finally {
      await handle.close();
    }
  } finally {
    await rm(temporary, { recursive: true });
  }
}

async function measureWrites(
  handle: Awaited<ReturnType<typeof open>>,
  signal: AbortSignal,
): Promise<number[]> {
  const content = Buffer.alloc(writeBytes, 'mini-k8s ');
  const samplesMs: number[] = [];
  const deadline = performance.now() + patienceMs;
  while (samplesMs.length < writeCount && performance.now() < deadline) {
    signal.throwIfAborted();
    const startedAt = performance.now();
    await handle.write(content);
    await handle.datasync();
    samplesMs.push(performance.now() - startedAt);
  }
  return samplesMs;
}

function milliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}
