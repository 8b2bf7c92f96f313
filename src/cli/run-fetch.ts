import { systemClock } from '../base/time.ts';
import { type ArtifactScope, fetchArtifacts } from '../node/artifact-store.ts';
import { type Invocation, textOption } from './command.ts';
import { createReporter } from './reporter.ts';

/** As a shell says it of a program that Ctrl-C ended. */
const interruptedExitCode = 130;

/** Fetches with progress. A signal ends it, and the next fetch goes on from there. */
export async function runFetch(invocation: Invocation, scope: ArtifactScope): Promise<number> {
  const { context } = invocation;
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => abort.abort(signal));
  }
  const bundle = textOption(invocation, 'bundle');
  const trustBundle = textOption(invocation, 'trustBundle');
  const reporter = createReporter(context.stdout);
  try {
    await fetchArtifacts(
      {
        ...scope,
        ...(bundle === undefined ? {} : { bundle }),
        ...(trustBundle === undefined ? {} : { trustBundle }),
        clock: systemClock,
        onEvent: reporter.report,
      },
      abort.signal,
    );
    return 0;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    reporter.close();
    context.stderr.write(
      `stopped (${String(abort.signal.reason)}); the next fetch goes on from here\n`,
    );
    return interruptedExitCode;
  } finally {
    reporter.close();
  }
}
