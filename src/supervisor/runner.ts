import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { Attempt } from './attempt.ts';
import type { Changes } from './changes.ts';
import { readAnonymousBytes } from './proc-files.ts';
import {
  type BackoffPolicy,
  initialLifecycle,
  isReady,
  type Lifecycle,
  type LifecycleEvent,
  restartCount,
  transition,
} from './state.ts';
import type { Component, ComponentStatus, SupervisorEvent, Termination } from './types.ts';

export interface RunnerContext {
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly backoff: BackoffPolicy;
  readonly changes: Changes;
  readonly emit: (event: SupervisorEvent) => void;
  /** Those of the names whose components are not ready now. */
  readonly unready: (names: readonly string[]) => readonly string[];
}

/** Keeps one component running: waits for its dependencies, starts it, starts it again when it ends. */
export class Runner {
  #component: Component;
  readonly #context: RunnerContext;
  readonly #finished = Promise.withResolvers<void>();
  #lifecycle: Lifecycle = initialLifecycle;
  /** What runs or is being started now. */
  #attempt: Attempt | undefined;
  #lastOutput: readonly string[] = [];
  #isHalted = false;
  #isLoopRunning = false;
  #hasBeenReady = false;

  constructor(component: Component, context: RunnerContext) {
    this.#component = component;
    this.#context = context;
  }

  get component(): Component {
    return this.#component;
  }

  get name(): string {
    return this.#component.name;
  }

  isReady(): boolean {
    return isReady(this.#lifecycle);
  }

  hasBeenReady(): boolean {
    return this.#hasBeenReady || this.isReady();
  }

  status(): ComponentStatus {
    const { state, lastTermination } = this.#lifecycle;
    const pid = this.#attempt?.pid();
    const anonymousBytes = pid === undefined ? undefined : readAnonymousBytes(pid);
    return {
      name: this.name,
      state,
      restartCount: restartCount(this.#lifecycle),
      lastOutput: this.#attempt?.lastOutput() ?? this.#lastOutput,
      ...(lastTermination === undefined ? {} : { lastTermination }),
      ...(anonymousBytes === undefined ? {} : { anonymousBytes }),
    };
  }

  /** Runs until `stop`, or until `halt` with nothing running. Failures of the component never reject it. */
  async run(): Promise<void> {
    this.#isLoopRunning = true;
    while (!this.#isHalted) {
      await this.#waitForDependencies();
      if (this.#isHalted) break;
      const retryInMs = await this.#runOnce();
      await this.#pause(retryInMs);
    }
    this.#finish();
  }

  /** Starts nothing from now on; what runs goes on running. */
  halt(): void {
    this.#isHalted = true;
    this.#context.changes.notify();
  }

  /** Ends it for good. Resolves when nothing of it is left. Idempotent. */
  async stop(): Promise<void> {
    this.halt();
    if (!this.#isLoopRunning) this.#finish();
    await this.#endAttempt('stop');
    await this.#finished.promise;
  }

  /** Ends what runs and starts it again at once, also out of a backoff. Resolves when the old one has ended. */
  async restart(): Promise<void> {
    if (this.#isHalted) return;
    if (this.#attempt === undefined) this.#dispatch({ type: 'restart' });
    else await this.#endAttempt('restart');
  }

  /** The same with another description from now on. */
  async replace(component: Component): Promise<void> {
    this.#component = component;
    await this.restart();
  }

  async #waitForDependencies(): Promise<void> {
    const { changes, unready } = this.#context;
    let shown = '';
    await changes.until(() => {
      const missing = unready(this.component.dependsOn);
      if (this.#isHalted || missing.length === 0) return true;
      if (shown === missing.join()) return false;
      shown = missing.join();
      this.#dispatch({ type: 'blocked', dependencies: missing });
      return false;
    });
  }

  /** Resolves when it has ended, with the milliseconds until the next try if there is to be one. */
  async #runOnce(): Promise<number | undefined> {
    const { clock, emit, logger } = this.#context;
    const attempt = new Attempt({
      component: this.component,
      clock,
      logger,
      onSpawned: (pid) => this.#dispatch({ type: 'spawned', pid }),
      onReady: (elapsedMs) => {
        this.#hasBeenReady = true;
        this.#dispatch({ type: 'ready' });
        emit({ type: 'component-ready', name: this.name, elapsedMs });
      },
    });
    this.#attempt = attempt;
    this.#dispatch({ type: 'start', now: clock.now() });
    emit({ type: 'component-starting', name: this.name });
    const termination = await attempt.run();
    this.#lastOutput = attempt.lastOutput();
    this.#attempt = undefined;
    return this.#settle(attempt, termination);
  }

  async #endAttempt(intent: 'stop' | 'restart'): Promise<void> {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#dispatch({ type: intent });
    if (!attempt.wasAskedToEnd()) {
      this.#context.emit({ type: 'component-stopping', name: this.name });
    }
    await attempt.end();
  }

  #settle(attempt: Attempt, termination: Termination): number | undefined {
    const { clock, random, emit } = this.#context;
    const now = clock.now();
    if (this.#isHalted) this.#dispatch({ type: 'stop' });
    const readyForMs = attempt.readyForMs();
    this.#dispatch({ type: 'terminated', termination, readyForMs, random: random(), now });
    if (attempt.wasAskedToEnd()) {
      emit({ type: 'component-stopped', name: this.name, elapsedMs: attempt.endingForMs() });
      return undefined;
    }
    const retryInMs = retryDelayMs(this.#lifecycle, now);
    emit({
      type: 'component-terminated',
      name: this.name,
      termination,
      lastOutput: this.#lastOutput,
      ...(retryInMs === undefined ? {} : { retryInMs }),
    });
    return retryInMs;
  }

  /** Waits for the end of the backoff; after completion, for a restart. `halt` and `restart` cut both short. */
  async #pause(retryInMs: number | undefined): Promise<void> {
    const { changes } = this.#context;
    const { state } = this.#lifecycle;
    const isCutShort = () => this.#isHalted || this.#lifecycle.state !== state;
    if (state.type === 'Terminated') await changes.until(isCutShort);
    if (retryInMs === undefined) return;
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      changes.notify();
    }, retryInMs);
    await changes.until(() => isOver || isCutShort());
    clearTimeout(timer);
  }

  #finish(): void {
    const now = this.#context.clock.now();
    const termination: Termination = { reason: 'Stopped', finishedAt: now };
    this.#dispatch({ type: 'stop' });
    this.#dispatch({ type: 'terminated', termination, readyForMs: 0, random: 0, now });
    this.#finished.resolve();
  }

  #dispatch(event: LifecycleEvent): void {
    const next = transition(this.#lifecycle, event, this.#context.backoff);
    if (next === this.#lifecycle) return;
    this.#lifecycle = next;
    this.#context.changes.notify();
  }
}

function retryDelayMs({ state }: Lifecycle, now: number): number | undefined {
  return state.type === 'Waiting' && state.retryAt !== undefined ? state.retryAt - now : undefined;
}
