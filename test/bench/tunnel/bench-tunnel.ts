// scripts/bench-tunnel: our tunnel and Konnectivity's, side by side. See usage.txt and docs/benchmarks.md.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runBench, saveResults } from '../run-bench.ts';
import { writeCertificates } from './certificates.ts';
import { type Forked, forkListener } from './forked.ts';
import { buildKonnectivity } from './konnectivity.ts';
import { type Line, measureLine } from './measure-line.ts';
import { longLineRttMs, type Measurement, warmUp } from './measurements.ts';
import type { Sample } from './metrics.ts';
import { type BenchTunnelOptions, parseBenchTunnelOptions } from './options.ts';
import { buildOurs } from './ours.ts';
import { missedTargets, renderTable } from './render-table.ts';
import { runMeasurement } from './run-measurement.ts';
import { type Rig, type Side, startRig } from './side.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const MIB = 1024 ** 2;

process.exitCode = await runBench((args) => parseBenchTunnelOptions(args, ROOT), measureAll);

async function measureAll(options: BenchTunnelOptions): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-bench-'));
  const run: Run = { options, directory, results: new Map(), rigs: new Map() };
  // An interrupted run leaves nothing behind either; helpers end with this process.
  const stop = () => void cleanUp(run).finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const target = await forkListener('target.ts');
  try {
    const sides = await prepareSides(run);
    const line = options.measurements.some(({ rttMs = 0 }) => rttMs > 0)
      ? await measureLine(target, longLineRttMs)
      : undefined;
    for (let round = 1; round <= options.rounds; round += 1) {
      // A B, then B A: who comes second finds the machine as the first left it.
      const order = round % 2 === 1 ? sides : sides.toReversed();
      for (const measurement of options.measurements) {
        for (const side of order) await measureOnce(run, { side, measurement, target, round });
      }
      for (const side of sides) recordMemory(run, side);
    }
    await save(run, line);
    return 0;
  } finally {
    await target.stop();
    await cleanUp(run);
  }
}

interface Run {
  readonly options: BenchTunnelOptions;
  readonly directory: string;
  /** By side, then by metric, one sample for each round. */
  readonly results: Map<string, Map<string, Sample[]>>;
  /** Tunnels that live, by side and round-trip time. */
  readonly rigs: Map<string, Rig>;
}

async function prepareSides({ options, directory }: Run): Promise<readonly Side[]> {
  const certificates = writeCertificates(directory);
  const ours = await buildOurs({
    directory: path.join(directory, 'ours'),
    certificates,
    execArgv: options.nodeOptions,
  });
  return options.wantsPeer ? [ours, await buildKonnectivity(certificates)] : [ours];
}

interface Turn {
  readonly side: Side;
  readonly measurement: Measurement;
  readonly target: Forked;
  readonly round: number;
}

async function measureOnce(run: Run, { side, measurement, target, round }: Turn): Promise<void> {
  const { name, rttMs = 0 } = measurement;
  const key = rigKey(side, rttMs);
  const rig = run.rigs.get(key) ?? (await startWarmRig(run, { side, rttMs, target }));
  run.rigs.set(key, rig);
  const { samples, isSpoilt } = await runMeasurement(measurement, rig, target);
  for (const [id, sample] of samples) record(run, side, id, sample);
  const text = [...samples].map(([id, sample]) => `${id} ${renderSample(sample)}`).join(', ');
  say(`round ${round} of ${run.options.rounds}, ${name}, ${side.name}: ${text}`);
  if (!isSpoilt) return;
  run.rigs.delete(key);
  await rig.stop();
}

async function startWarmRig(
  run: Run,
  { side, rttMs, target }: Pick<Turn, 'side' | 'target'> & { readonly rttMs: number },
): Promise<Rig> {
  const directory = await mkdtemp(path.join(run.directory, 'rig-'));
  const rig = await startRig(side, { directory, targetPort: target.port, rttMs });
  if (rttMs === 0) await runMeasurement(warmUp, rig, target);
  return rig;
}

function recordMemory(run: Run, side: Side): void {
  const rig = run.rigs.get(rigKey(side, 0));
  if (rig === undefined) return;
  record(run, side, 'server-memory', rig.server.anonymousBytes() / MIB);
  record(run, side, 'agent-memory', rig.agent.anonymousBytes() / MIB);
}

function record({ results }: Run, side: Side, id: string, sample: Sample): void {
  const bySide = results.get(side.name) ?? new Map<string, Sample[]>();
  results.set(side.name, bySide);
  bySide.set(id, [...(bySide.get(id) ?? []), sample]);
}

async function save({ options, results }: Run, line: Line | undefined): Promise<void> {
  const [ours, theirs] = ['mini-k8s', 'Konnectivity'].map((name) => results.get(name) ?? new Map());
  const samples = Object.fromEntries(
    [...results].map(([side, byMetric]) => [side, Object.fromEntries(byMetric)]),
  );
  const machine = await saveResults(options.output, { rounds: options.rounds, line, samples });
  if (ours === undefined || theirs === undefined) return;
  say(`\n${renderTable(ours, theirs)}\n`);
  if (line !== undefined) {
    const [down, up] = [line.down, line.up].map((value) => value.toFixed(0));
    say(`The long line without a tunnel: ${down} MB/s down, ${up} MB/s up.`);
  }
  say(machine);
  const missed = missedTargets(ours, theirs);
  if (missed.length > 0) say(`Missed: ${missed.join('; ')}.`);
  say(`Every number: ${options.output}`);
}

async function cleanUp({ rigs, directory }: Run): Promise<void> {
  for (const rig of rigs.values()) await rig.stop();
  await rm(directory, { recursive: true, force: true });
}

function rigKey(side: Side, rttMs: number): string {
  return `${side.name} ${rttMs}`;
}

function renderSample(sample: Sample): string {
  return typeof sample === 'number' ? sample.toFixed(2) : sample.problem;
}

function say(line: string): void {
  console.log(line);
}
