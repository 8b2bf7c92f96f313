// ./scripts/conformance: upstream's conformance tests against a two-node cluster. See scripts/conformance-run/usage.txt.
import path from 'node:path';
import { type ConformanceOptions, parseConformanceOptions } from './conformance-run/options.ts';
import { runConformance } from './conformance-run/run-conformance.ts';
import { explainFailure } from './local-cluster/explain-failure.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const USAGE_ERROR = 2;
const STOPPED = 130;

process.exitCode = await main();

async function main(): Promise<number> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not once: execa's own listener ends the process when it finds itself alone.
    process.on(name, () => abort.abort(new Error(`stopped by ${name}`)));
  }
  let options: ConformanceOptions;
  try {
    options = parseConformanceOptions(process.argv.slice(2), ROOT);
  } catch (error) {
    return explainFailure(error, USAGE_ERROR);
  }
  try {
    const command = ['./scripts/conformance', ...process.argv.slice(2)].join(' ');
    return (await runConformance({ ...options, root: ROOT, command, say }, abort.signal)) ? 0 : 1;
  } catch (error) {
    // Of two errors the second is that what was made could not be removed.
    if (!abort.signal.aborted || error instanceof SuppressedError) return explainFailure(error);
    say('Stopped; the nodes are gone.');
    return STOPPED;
  }
}

function say(line: string): void {
  console.log(line);
}
