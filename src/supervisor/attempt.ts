import { errorMessage, UserError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { Component, RunningComponent, Termination } from './types.ts';

export interface AttemptOptions {
  readonly component: Component;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onSpawned: (pid: number) => void;
  readonly onReady: (elapsedMs: number) => void;
}

/**
 * One start of a component and what comes of it. Durations are measured with `performance.now()`,
 * since a board without a clock battery jumps by years when it learns the time.
 */
export class Attempt {
  readonly #options: AttemptOptions;
  readonly #abort = new AbortController();
  readonly #ended = Promise.withResolvers<Termination>();
  readonly #startedMs = performance.now();
  #running: RunningComponent | undefined;
  #readyMs: number | undefined;
  #endAskedMs: number | undefined;
  /** Why it did not become ready. */
  #startFailure: string | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
  }

  /** Starts it, watches it become ready, and resolves when it has ended. Never rejects. */
  async run(): Promise<Termination> {
    const running = await this.#start();
    if (running !== undefined) await this.#watchReadiness(running);
    const ended = await this.#ended.promise;
    this.#abort.abort();
    return this.#startFailure === undefined || this.wasAskedToEnd()
      ? ended
      : { ...ended, reason: 'StartTimeout', message: this.#startFailure };
  }

  /** Ends it on demand, at whatever point it is; resolves when nothing of it is left. Idempotent. */
  async end(): Promise<void> {
    this.#endAskedMs ??= performance.now();
    await this.#end();
    await this.#ended.promise;
  }

  wasAskedToEnd(): boolean {
    return this.#endAskedMs !== undefined;
  }

  /** Milliseconds since `end` was called first; 0 when it was not. */
  endingForMs(): number {
    return this.#endAskedMs === undefined ? 0 : Math.round(performance.now() - this.#endAskedMs);
  }

  /** Milliseconds since it became ready; 0 when it did not. */
  readyForMs(): number {
    return this.#readyMs === undefined ? 0 : performance.now() - this.#readyMs;
  }

  pid(): number | undefined {
    return this.#running?.pid;
  }

  lastOutput(): readonly string[] {
    return this.#running?.lastOutput?.() ?? [];
  }

  async #start(): Promise<RunningComponent | undefined> {
    const { component, clock, logger, onSpawned } = this.#options;
    const { signal } = this.#abort;
    try {
      const running = await component.start(signal);
      this.#running = running;
      if (running.pid !== undefined) onSpawned(running.pid);
      void running.terminated.then(this.#ended.resolve);
      if (signal.aborted) void this.#end();
      return running;
    } catch (error) {
      // Whatever a component throws stays its own failure; what is no UserError is a bug and needs its stack.
      if (!(error instanceof UserError) && !signal.aborted) {
        logger.error(`Starting ${component.name} failed`, { stack: stackOf(error) });
      }
      this.#ended.resolve({
        reason: signal.aborted ? 'Stopped' : 'Error',
        message: error instanceof UserError ? error.why : errorMessage(error),
        finishedAt: clock.now(),
      });
      return undefined;
    }
  }

  /** Returns when it is ready, has ended, or is being ended because it did not become ready in time. */
  async #watchReadiness(running: RunningComponent): Promise<void> {
    const { signal } = this.#abort;
    const outcome = await Promise.race([
      this.#ended.promise.then(() => ({ type: 'ended' }) as const),
      running.waitReady(signal).then(
        () => ({ type: 'ready' }) as const,
        (error: unknown) => ({ type: 'failed', error }) as const,
      ),
    ]);
    if (outcome.type === 'ended' || signal.aborted) return;
    if (outcome.type === 'failed') {
      this.#startFailure = errorMessage(outcome.error);
      void this.#end();
      return;
    }
    this.#readyMs = performance.now();
    this.#options.onReady(Math.round(this.#readyMs - this.#startedMs));
  }

  async #end(): Promise<void> {
    this.#abort.abort();
    if (this.#running === undefined) return;
    const { component, clock, logger } = this.#options;
    try {
      await this.#running.stop();
      await this.#running.terminated;
    } catch (error) {
      logger.error(`Stopping ${component.name} failed`, { stack: stackOf(error) });
      this.#ended.resolve({
        reason: 'Error',
        message: `could not be stopped: ${errorMessage(error)}`,
        finishedAt: clock.now(),
      });
    }
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
