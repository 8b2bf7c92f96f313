// Builds the pinned versions of all components from their Go modules, makes the small images, and writes a bundle.
import { availableParallelism, homedir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Architecture } from '../src/artifacts/types.ts';
import { errorMessage, UserError, UserErrors } from '../src/base/errors.ts';
import { buildAll } from './components/build-all.ts';
import { hostArchitecture } from './components/image-files.ts';
import { createStepReporter } from './components/reporter.ts';

const usage = `Usage: ./scripts/build-components [--arch amd64|arm64] [--out DIR] [--only NAME]... [--jobs N]

Builds every component and image from source with Go's own tool chain, and writes a bundle (an OCI image layout).
Needs a Go module proxy and, for a few Debian packages, apt. What is built already is taken from
\${XDG_CACHE_HOME:-~/.cache}/mini-k8s/components/<arch>, where bin/ has all executables and bundle/ the bundle.

  --arch ARCH            build for this architecture instead of this machine's
  --out DIR              put the bundle there instead of into the cache
  --only NAME            only this component or image; may be repeated. No bundle then, unless --out is given
  --jobs N               Go actions at the same time (default: the number of processors)
  --print-index-sha256   print only the sha256 of the bundle's index.json, for --trust-bundle
  --help                 show this

The last line of the output is: bundle <directory> sha256:<hex of its index.json>
`;

interface Settings {
  readonly arch: Architecture;
  readonly out: string | undefined;
  readonly only: readonly string[];
  readonly jobs: number;
  readonly printsOnlySha256: boolean;
}

class UsageError extends Error {}

class Interrupted extends Error {
  readonly signalName: NodeJS.Signals;

  constructor(signalName: NodeJS.Signals) {
    super(`stopped by ${signalName}`);
    this.signalName = signalName;
  }
}

process.exitCode = await main();

async function main(): Promise<number> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not once: execa's own listener ends the process when it finds itself alone.
    process.on(name, () => abort.abort(new Interrupted(name)));
  }
  try {
    const settings = parseSettings(process.argv.slice(2));
    if (settings === undefined) {
      console.log(usage);
      return 0;
    }
    await run(settings, abort.signal);
    return 0;
  } catch (error) {
    return explain(error);
  }
}

function parseSettings(args: readonly string[]): Settings | undefined {
  const { values } = parseCommandLine(args);
  if (values.help) return undefined;
  const arch = values.arch ?? hostArchitecture();
  if (arch !== 'amd64' && arch !== 'arm64')
    throw new UsageError(`--arch takes amd64 or arm64, not "${arch}"`);
  const jobs = Number(values.jobs ?? availableParallelism());
  if (!Number.isInteger(jobs) || jobs < 1)
    throw new UsageError(`--jobs takes a number from 1 on, not "${values.jobs}"`);
  return {
    arch,
    jobs,
    out: values.out === undefined ? undefined : path.resolve(values.out),
    only: values.only,
    printsOnlySha256: values['print-index-sha256'],
  };
}

function parseCommandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        arch: { type: 'string' },
        out: { type: 'string' },
        only: { type: 'string', multiple: true, default: [] },
        jobs: { type: 'string' },
        'print-index-sha256': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(errorMessage(error));
  }
}

async function run(settings: Settings, signal: AbortSignal): Promise<void> {
  const written = await buildAll({
    ...settings,
    cacheDirectory: path.join(
      process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'),
      'mini-k8s',
    ),
    sourceDirectory: path.join(import.meta.dirname, 'components'),
    // Standard output is for the result alone, so that a script can read it.
    reporter: createStepReporter({ stream: process.stderr, now: () => performance.now() }),
    signal,
  });
  if (written === undefined) return;
  const { directory, indexSha256 } = written;
  console.log(
    settings.printsOnlySha256 ? indexSha256 : `bundle ${directory} sha256:${indexSha256}`,
  );
}

function explain(error: unknown): number {
  if (error instanceof Interrupted) {
    console.error('Stopped. What is finished is kept: run it again to go on.');
    return 130;
  }
  if (error instanceof UsageError) {
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
  const errors = error instanceof UserErrors ? error.errors : [error];
  for (const problem of errors) {
    if (!(problem instanceof UserError)) throw problem;
    console.error(problem.message);
    if (problem.fix !== undefined) console.error(`fix: ${problem.fix}`);
  }
  return 1;
}
