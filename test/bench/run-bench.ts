import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, totalmem } from 'node:os';
import path from 'node:path';
import { UserError } from '../../src/base/errors.ts';

const USAGE_ERROR = 2;

/** The exit code of a benchmark: that of `measure`, 2 for options that nobody knows, 1 for what a person can mend. */
export async function runBench<T>(
  parse: (args: readonly string[]) => T,
  measure: (options: T) => Promise<number>,
): Promise<number> {
  let options: T;
  try {
    options = parse(process.argv.slice(2));
  } catch (error) {
    return explain(error, USAGE_ERROR);
  }
  try {
    return await measure(options);
  } catch (error) {
    return explain(error, 1);
  }
}

function explain(error: unknown, exitCode: number): number {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  if (error.fix !== undefined) console.error(`fix: ${error.fix}`);
  return exitCode;
}

/**
 * Writes results as JSON, with the machine that they are of.
 * @returns the machine in a sentence.
 */
export async function saveResults(output: string, results: object): Promise<string> {
  const machine = {
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    // What else ran shows here: on a busy machine only CPU time and memory mean something.
    loadAverage: loadavg(),
  };
  const document = { finishedAt: new Date().toISOString(), machine, ...results };
  await mkdir(path.dirname(output), { recursive: true });
  await writeFile(output, `${JSON.stringify(document, null, 2)}\n`);
  const gibibytes = Math.round(machine.memoryBytes / 1024 ** 3);
  const load = machine.loadAverage.map((value) => value.toFixed(1)).join(' ');
  return `Machine: ${machine.cores} cores, ${gibibytes} GiB; load average ${load}.`;
}
