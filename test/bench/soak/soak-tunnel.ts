// scripts/soak-tunnel: failure case 22 of the tunnel. See usage.txt and docs/benchmarks.md.
import { randomInt } from 'node:crypto';
import { errorMessage } from '../../../src/base/errors.ts';
import { alignColumns } from '../../../src/cli/table.ts';
import { runBench } from '../run-bench.ts';
import { type ChurnTotals, churn } from './churn.ts';
import { type SoakCluster, startSoakCluster } from './cluster.ts';
import { createDisturbances, type Disturbances } from './disturbances.ts';
import { parseSoakOptions, type SoakOptions } from './options.ts';
import { createRandom } from './random.ts';
import { sampleMemory, settle, type Watched, watchProcesses } from './remains.ts';
import { isLevel, slopePerMinute } from './slope.ts';

const roundMs = 20_000;
const mib = 1024 * 1024;

process.exitCode = await runBench(
  (args) => parseSoakOptions(args, () => randomInt(2 ** 32)),
  soakCluster,
);

async function soakCluster(options: SoakOptions): Promise<number> {
  console.log(`Churning for ${options.minutes} minutes; --seed ${options.seed}`);
  const cluster = await startSoakCluster();
  // The processes end with this one.
  process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143));
  try {
    return await soak(options, cluster);
  } finally {
    await cluster.close();
  }
}

async function soak({ minutes, seed }: SoakOptions, cluster: SoakCluster): Promise<number> {
  const random = createRandom(seed);
  const disturbances = createDisturbances(cluster, random);
  const totals: ChurnTotals = { done: new Map(), brokenOff: 0, failures: [] };
  const watched = await watchProcesses(cluster);
  const startedAtMs = performance.now();
  let remains: string | undefined;
  while (performance.now() - startedAtMs < minutes * 60_000 && remains === undefined) {
    await churn({ cluster, disturbances, random, totals }, performance.now() + roundMs);
    remains = await settle(cluster, watched).then(() => undefined, errorMessage);
    await sampleMemory(watched);
    const memory = watched.map(
      ({ name, samples }) => `${name} ${renderMib(samples.at(-1)?.bytes)}`,
    );
    const elapsed = ((performance.now() - startedAtMs) / 60_000).toFixed(1);
    console.log(
      `${elapsed} min: ${sum(totals.done)} streams, ${totals.brokenOff} broken off, ${totals.failures.length} failed; ${memory.join(', ')}`,
    );
  }
  return report({ totals, disturbances, watched, remains, minutes });
}

interface Outcome {
  readonly totals: ChurnTotals;
  readonly disturbances: Disturbances;
  readonly watched: readonly Watched[];
  readonly remains: string | undefined;
  readonly minutes: number;
}

function report({ totals, disturbances, watched, remains, minutes }: Outcome): number {
  const rows = watched.map(({ name, baseline, samples }) => {
    const slopeKiB = slopePerMinute(samples) / 1024;
    const isFlat = isLevel(samples);
    return {
      isFlat,
      cells: [
        ...[name, `${baseline}`, renderMib(samples[0]?.bytes), renderMib(samples.at(-1)?.bytes)],
        ...[`${slopeKiB.toFixed(1)} KiB/min`, isFlat ? '✓' : '✗'],
        `${(slopePerMinute(samples, 'heapBytes') / 1024).toFixed(1)} KiB/min`,
      ],
    };
  });
  const header = [
    'process',
    'descriptors',
    'memory at first',
    'at last',
    'slope',
    '',
    'of its heap',
  ];
  const counts = (map: ReadonlyMap<string, number>) =>
    [...map].map(([name, count]) => `${name} ${count}`).join(', ');
  const lines = alignColumns([header, ...rows.map(({ cells }) => cells)]);
  console.log(`\n${lines.join('\n')}\n`);
  console.log(`Streams: ${counts(totals.done)}; broken off with their line ${totals.brokenOff}.`);
  console.log(`Done to nodes: ${counts(disturbances.counts)}.`);
  const problems = [
    ...(totals.failures.length === 0 ? [] : [`${totals.failures.length} streams failed`]),
    ...(remains === undefined ? [] : [remains]),
    ...(rows.every(({ isFlat }) => isFlat) ? [] : ['memory grows']),
  ];
  for (const problem of problems) console.log(`✗ ${problem}`);
  if (problems.length === 0) console.log(`✓ Nothing is left after ${minutes} minutes.`);
  return problems.length === 0 ? 0 : 1;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function renderMib(bytes: number | undefined): string {
  return bytes === undefined ? '–' : `${(bytes / mib).toFixed(1)} MiB`;
}
