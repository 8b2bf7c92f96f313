// Builds the upstream conformance suite and its images, and prints where they are.
import { homedir } from 'node:os';
import path from 'node:path';
import { UserError, UserErrors } from '../src/base/errors.ts';
import { createStepReporter } from './components/reporter.ts';
import { provideSuite } from './conformance-suite/provide-suite.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () =>
      abort.abort(new UserError({ what: 'go on', why: `stopped by ${name}` })),
    );
  }
  try {
    const cache = process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache');
    const suite = await provideSuite({
      cacheDirectory: path.join(cache, 'mini-k8s'),
      reporter: createStepReporter({ stream: process.stderr, now: () => performance.now() }),
      signal: abort.signal,
    });
    console.log(JSON.stringify(suite, undefined, 2));
    return 0;
  } catch (error) {
    for (const problem of error instanceof UserErrors ? error.errors : [error]) {
      if (!(problem instanceof UserError)) throw problem;
      console.error(problem.message);
      if (problem.fix !== undefined) console.error(`fix: ${problem.fix}`);
    }
    return 1;
  }
}
