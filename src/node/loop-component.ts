import { errorMessage } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import type { Component, Termination } from '../supervisor/types.ts';

export interface LoopOptions {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly clock: Clock;
  /** Runs until aborted. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Resolves when the loop has done its work once; ready at once when left out. */
  readonly ready?: () => Promise<void>;
}

/** A loop in this process as a component: it is ready when it says so, and stopped by its signal. */
export function loopComponent(options: LoopOptions): Component {
  return {
    name: options.name,
    dependsOn: options.dependsOn,
    async start() {
      const abort = new AbortController();
      const terminated = options.run(abort.signal).then(
        (): Termination => ({
          reason: abort.signal.aborted ? 'Stopped' : 'Completed',
          finishedAt: options.clock.now(),
        }),
        (error: unknown): Termination =>
          abort.signal.aborted
            ? { reason: 'Stopped', finishedAt: options.clock.now() }
            : { reason: 'Error', message: errorMessage(error), finishedAt: options.clock.now() },
      );
      return {
        terminated,
        waitReady: (signal) => raceReady(options, terminated, signal),
        stop: async () => {
          abort.abort();
          await terminated;
        },
      };
    },
  };
}

async function raceReady(
  options: LoopOptions,
  terminated: Promise<Termination>,
  signal: AbortSignal,
): Promise<void> {
  if (options.ready === undefined) return;
  const failed = terminated.then((termination) => {
    throw new Error(termination.message ?? `${options.name} ended: ${termination.reason}`);
  });
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  await Promise.race([options.ready(), failed, aborted]);
}
