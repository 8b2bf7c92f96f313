import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { createChanges } from './changes.ts';
import { logEvent } from './log-event.ts';
import { dependentsOf, startLevels } from './order.ts';
import { Runner } from './runner.ts';
import { type BackoffPolicy, defaultBackoff } from './state.ts';
import type { Component, ComponentStatus, SupervisorEvent } from './types.ts';

export interface SupervisorOptions {
  readonly components: readonly Component[];
  readonly clock: Clock;
  /** From 0 to below 1; spreads restarts. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly onEvent: (event: SupervisorEvent) => void;
  readonly backoff?: BackoffPolicy;
}

export interface Supervisor {
  /**
   * Starts each component as soon as its own dependencies are ready. Resolves when each has been ready
   * once; a failing one is tried again for ever and never rejects it. To be called once.
   * @throws the signal's reason when it aborts first (what was started goes on: call `stop`), or Error
   *   when `stop` was called first.
   */
  start(signal: AbortSignal): Promise<void>;
  /**
   * Resolves when the named components, or all, are ready at the same time.
   * @throws the signal's reason, or Error for a name that does not exist.
   */
  waitReady(names: readonly string[] | undefined, signal: AbortSignal): Promise<void>;
  /** In the order in which the components were given. */
  status(): readonly ComponentStatus[];
  /**
   * Ends one component and starts it again at once, also out of a backoff; its dependents go on.
   * Resolves when the old one has ended; `waitReady` tells when the new one serves.
   * @throws Error for a name that does not exist.
   */
  restart(name: string): Promise<void>;
  /**
   * Puts another description in the place of the one of that name, and restarts it as `restart` does.
   * @throws Error for a name that does not exist, and for other dependencies than it had.
   */
  replace(component: Component): Promise<void>;
  /**
   * Ends everything, each component after those that depend on it. Resolves when nothing is left.
   * Idempotent, and allowed at any time, also before and during `start`.
   */
  stop(): Promise<void>;
}

/**
 * Keeps components running. One that fails later is started again with backoff and disturbs no other:
 * its dependents are not restarted.
 * @throws Error when names are not unique, or a dependency is unknown or part of a cycle.
 */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { components, logger } = options;
  startLevels(components);
  const changes = createChanges();
  const runners = new Map<string, Runner>();
  const context = {
    clock: options.clock,
    random: options.random,
    logger,
    backoff: options.backoff ?? defaultBackoff,
    changes,
    emit: (event: SupervisorEvent) => reportEvent(event, options),
    unready: (names: readonly string[]) => names.filter((name) => !find(name).isReady()),
  };
  for (const component of components) {
    runners.set(component.name, new Runner(component, context));
  }
  let stopping: Promise<void> | undefined;

  function find(name: string): Runner {
    const runner = runners.get(name);
    if (runner === undefined) throw new Error(`There is no component ${name}`);
    return runner;
  }

  async function start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (stopping === undefined) for (const runner of runners.values()) void runner.run();
    const all = [...runners.values()];
    await changes.until(
      () => stopping !== undefined || all.every((runner) => runner.hasBeenReady()),
      signal,
    );
    if (stopping !== undefined) throw new Error('The supervisor was stopped during its start');
  }

  async function waitReady(
    names: readonly string[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = (names ?? [...runners.keys()]).map(find);
    await changes.until(() => wanted.every((runner) => runner.isReady()), signal);
  }

  return {
    start,
    waitReady,
    status: () => [...runners.values()].map((runner) => runner.status()),
    restart: async (name) => find(name).restart(),
    replace: async (component) => {
      const runner = find(component.name);
      // Others were put into order by them.
      if (runner.component.dependsOn.join() !== component.dependsOn.join()) {
        throw new Error(`${component.name} depends on other components than before`);
      }
      await runner.replace(component);
    },
    stop: () => {
      stopping ??= stopAll([...runners.values()]);
      changes.notify();
      return stopping;
    },
  };
}

/** Nothing starts any more; then each ends as soon as its dependents have, whatever order that makes. */
async function stopAll(runners: readonly Runner[]): Promise<void> {
  for (const runner of runners) runner.halt();
  const components = runners.map((runner) => runner.component);
  const byName = new Map(runners.map((runner) => [runner.name, runner]));
  const stops = new Map<string, Promise<void>>();
  const stopOne = (name: string): Promise<void> => {
    const known = stops.get(name);
    if (known !== undefined) return known;
    const dependents = dependentsOf(components, name).map(stopOne);
    const stop = Promise.all(dependents).then(() => byName.get(name)?.stop());
    stops.set(name, stop);
    return stop;
  };
  await Promise.all(runners.map((runner) => stopOne(runner.name)));
}

/** A fault of whoever listens must not end the supervision. */
function reportEvent(event: SupervisorEvent, { logger, onEvent }: SupervisorOptions): void {
  logEvent(logger, event);
  try {
    onEvent(event);
  } catch (error) {
    logger.error('A listener to supervisor events failed', {
      stack: error instanceof Error ? error.stack : String(error),
    });
  }
}
