import { sleep } from '../../src/base/time.ts';
import type { TestNode } from '../support/node/types.ts';
import { cpuSecondsByProcess, type ProcessUsage, readProcessUsage } from './node-view.ts';
import { differenceByName, median, sumByName } from './statistics.ts';

export interface IdleResult {
  readonly minutes: number;
  /** Median of the samples: garbage collectors make it a saw-tooth. */
  readonly anonymousBytes: number;
  readonly maxAnonymousBytes: number;
  /** From the last sample; several processes of one name added up. */
  readonly anonymousBytesByProcess: Readonly<Record<string, number>>;
  readonly cpuPercent: number;
  /** Percent of one core. */
  readonly cpuPercentByProcess: Readonly<Record<string, number>>;
  readonly readBytesPerMinute: number;
  readonly writtenBytesPerMinute: number;
  /** Everything charged to the node at the end, page cache included. */
  readonly usageBytes: number;
  readonly pageCacheBytes: number;
  readonly oomKills: number;
}

/** What a start leaves behind (leases, events, garbage) settles first. */
const SETTLE_MS = 60_000;
const SAMPLE_INTERVAL_MS = 10_000;

/** Watches a node on which everything is Ready and nobody asks for anything. */
export async function measureIdle(node: TestNode, minutes: number): Promise<IdleResult> {
  await sleep(SETTLE_MS);
  const before = await readCounters(node);
  const endsAt = before.atMs + minutes * 60_000;
  const samples = [before.usages];
  while (performance.now() < endsAt) {
    await sleep(Math.min(SAMPLE_INTERVAL_MS, endsAt - performance.now()));
    samples.push(await readProcessUsage(node));
  }
  const after = await readCounters(node);
  const memory = await node.memory();
  const elapsedMs = after.atMs - before.atMs;
  const sums = samples.map(anonymousBytesOf);
  const perMinute = (bytes: number) => (bytes * 60_000) / elapsedMs;
  return {
    minutes,
    anonymousBytes: median(sums),
    maxAnonymousBytes: Math.max(...sums),
    anonymousBytesByProcess: sumByName(after.usages, ({ anonymousBytes }) => anonymousBytes),
    cpuPercent: ((after.cpuMs - before.cpuMs) / elapsedMs) * 100,
    cpuPercentByProcess: cpuPercentBetween(before.usages, after.usages, elapsedMs),
    readBytesPerMinute: perMinute(after.disk.readBytes - before.disk.readBytes),
    writtenBytesPerMinute: perMinute(after.disk.writtenBytes - before.disk.writtenBytes),
    ...memory,
  };
}

async function readCounters(node: TestNode) {
  const [cpuMs, disk, usages] = await Promise.all([
    node.cpuUsageMs(),
    node.disk(),
    readProcessUsage(node),
  ]);
  return { atMs: performance.now(), cpuMs, disk, usages };
}

function anonymousBytesOf(usages: readonly ProcessUsage[]): number {
  return usages.reduce((sum, { anonymousBytes }) => sum + anonymousBytes, 0);
}

function cpuPercentBetween(
  before: readonly ProcessUsage[],
  after: readonly ProcessUsage[],
  elapsedMs: number,
): Readonly<Record<string, number>> {
  const seconds = differenceByName(cpuSecondsByProcess(before), cpuSecondsByProcess(after));
  return Object.fromEntries(
    Object.entries(seconds).map(([name, value]) => [name, ((value * 1000) / elapsedMs) * 100]),
  );
}
