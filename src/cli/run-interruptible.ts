import { systemClock } from '../base/time.ts';
import type { NodeEvent } from '../node/events.ts';
import type { Invocation } from './command.ts';
import { createReporter } from './reporter.ts';

/** As a shell says it of a program that Ctrl-C ended. */
const interruptedExitCode = 130;

export interface InterruptibleWork {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: typeof systemClock;
  readonly onEvent: (event: NodeEvent) => void;
  readonly signal: AbortSignal;
}

/** Work that shows its progress and that a signal ends. @param whenStopped What the person reads then. */
export async function runInterruptible(
  { context }: Invocation,
  whenStopped: string,
  work: (parts: InterruptibleWork) => Promise<void>,
): Promise<number> {
  const abort = new AbortController();
  const stop = (signal: NodeJS.Signals) => abort.abort(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, stop);
  const reporter = createReporter(context.stdout);
  try {
    await work({
      ...{ env: context.env, clock: systemClock },
      ...{ onEvent: reporter.report, signal: abort.signal },
    });
    return 0;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    reporter.close();
    context.stderr.write(`stopped (${String(abort.signal.reason)}); ${whenStopped}\n`);
    return interruptedExitCode;
  } finally {
    for (const signal of signals) process.off(signal, stop);
    reporter.close();
  }
}
