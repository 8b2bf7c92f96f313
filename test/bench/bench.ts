// scripts/bench: what a start, an idle cluster and the command itself cost. See usage.txt and docs/benchmarks.md.
import path from 'node:path';
import { defaultDataDir } from '../../src/config/paths.ts';
import type { TestNode } from '../support/node/types.ts';
import { createBenchNode, planVariants, prepareFirstStart, type Variant } from './bench-node.ts';
import { type CliResult, measureCli } from './measure-cli.ts';
import { type IdleResult, measureIdle } from './measure-idle.ts';
import { type InstallResult, measureInstalls } from './measure-install.ts';
import { measureStart, type StartResult } from './measure-start.ts';
import { measureWorkers, type WorkerResult } from './measure-worker.ts';
import type { VariantResult } from './metrics.ts';
import { type BenchOptions, type Part, parseBenchOptions } from './options.ts';
import { renderDetails } from './render-details.ts';
import { missedTargets, renderTable } from './render-table.ts';
import { runBench, saveResults } from './run-bench.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

process.exitCode = await runBench(
  (args) => parseBenchOptions(args, ROOT),
  async (options) => {
    const results = await measureAll(options);
    await save(options, results);
    return 0;
  },
);

async function measureAll(options: BenchOptions): Promise<readonly VariantResult[]> {
  const variants = planVariants(options);
  const records = variants.map((variant) => ({ variant, ...emptyRecord() }));
  const isOfController = (part: Part) => part !== 'worker' && part !== 'install';
  if (options.parts.some(isOfController)) await measureController(options, records);
  for (const record of records) {
    if (options.parts.includes('worker')) record.workers.push(...(await joinAll(options, record)));
  }
  const [subject] = records;
  if (options.parts.includes('install')) subject?.installs.push(...(await installAll(options)));
  return records.map(({ variant, ...record }) => ({ name: variant.name, ...record }));
}

/** On a single node, all variants in turns. */
async function measureController(
  options: BenchOptions,
  records: readonly VariantRecord[],
): Promise<void> {
  say(`Making a node with 1 vCPU and 1 GiB, and importing the components`);
  const node = await createBenchNode(
    `bench-${process.pid}`,
    records.map(({ variant }) => variant),
  );
  // An interrupted run leaves nothing behind either.
  const stop = () => void node.destroy().finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    for (const record of records) {
      if (options.parts.includes('cli')) record.cli = await measureCli(node, record.variant);
    }
    const runs = options.parts.some((part) => part === 'start' || part === 'idle')
      ? options.runs
      : 0;
    // A B A B: what changes on the machine meanwhile meets both.
    for (let run = 1; run <= runs; run += 1) {
      for (const record of records) await measureRun({ node, options, record, run });
    }
  } finally {
    await node.destroy();
  }
}

interface Record {
  readonly firstStarts: StartResult[];
  readonly restarts: StartResult[];
  readonly idles: IdleResult[];
  readonly workers: WorkerResult[];
  readonly installs: InstallResult[];
  cli?: CliResult;
}

type VariantRecord = Record & { readonly variant: Variant };

function emptyRecord(): Record {
  return { firstStarts: [], restarts: [], idles: [], workers: [], installs: [] };
}

interface RunOptions {
  readonly node: TestNode;
  readonly options: BenchOptions;
  readonly record: VariantRecord;
  readonly run: number;
}

async function measureRun({ node, options, record, run }: RunOptions): Promise<void> {
  const { variant } = record;
  const target = { executable: variant.executable, dataDir: defaultDataDir };
  const label = `${variant.name}, run ${run} of ${options.runs}`;
  await prepareFirstStart(node, variant);
  const first = await measureStart(node, target);
  say(`${label}: first start ${describeStart(first.result)}`);
  if (options.parts.includes('idle')) {
    say(`${label}: idle for ${options.idleMinutes} minutes`);
    record.idles.push(await measureIdle(node, options.idleMinutes));
  }
  record.firstStarts.push(await first.stop());
  if (!options.parts.includes('start')) return;
  const second = await measureStart(node, target);
  say(`${label}: restart ${describeStart(second.result)}`);
  record.restarts.push(await second.stop());
}

function joinAll({ runs }: BenchOptions, { variant }: VariantRecord) {
  say(`${variant.name}: making a controller and a worker, 1 vCPU and 1 GiB each`);
  return measureWorkers(variant, runs, ({ downloadJoinMs, joinMs }, run) => {
    const [download, join] = [downloadJoinMs, joinMs].map((ms) => (ms / 1000).toFixed(1));
    say(
      `${variant.name}, run ${run} of ${runs}: joined in ${download} s, with artifacts ${join} s`,
    );
  });
}

/** Of the executable under test alone: a machine has one, and what it downloads is the same. */
function installAll({ runs }: BenchOptions) {
  say('Installing the controller on machines with systemd, 1 vCPU and 1 GiB each');
  return measureInstalls(runs, ({ installMs, reinstallMs }, run) => {
    const [install, again] = [installMs, reinstallMs].map((ms) => (ms / 1000).toFixed(1));
    say(`run ${run} of ${runs}: installed and Ready in ${install} s, again in ${again} s`);
  });
}

function describeStart({ milestones }: Pick<StartResult, 'milestones'>): string {
  return milestones.map(({ name, atMs }) => `${name} ${(atMs / 1000).toFixed(1)} s`).join(', ');
}

async function save(options: BenchOptions, results: readonly VariantResult[]): Promise<void> {
  const { output, ...asked } = options;
  const machine = await saveResults(output, { options: asked, results });
  const details = results.map(renderDetails).filter((text) => text !== '');
  say(`\n${[renderTable(results), ...details].join('\n\n')}\n`);
  say(machine);
  const missed = results[0] === undefined ? [] : missedTargets(results[0]);
  if (missed.length > 0) say(`Above target: ${missed.join('; ')}.`);
  say(`Every number: ${output}`);
}

function say(line: string): void {
  console.log(line);
}
