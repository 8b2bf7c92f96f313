import { errorMessage, throwCollected, UserError, UserErrors } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { waitFor } from '../base/time.ts';
import {
  changedFields,
  notesOn,
  type ReloadRules,
  refusedChanges,
} from '../config/config-changes.ts';
import type { Supervisor } from '../supervisor/supervisor.ts';
import type { Component, ComponentStatus } from '../supervisor/types.ts';
import type { NodeEvent } from './events.ts';
import { collectTwice } from './keep-memory-small.ts';
import { changedLoops, changedProcesses, type ProcessView } from './plan-changes.ts';
import { fillProcess, readSecrets, type SecretReader } from './plan-secrets.ts';
import type { Planned, PreparedNode } from './prepare.ts';

/** What a reload did. */
export interface ReloadReport {
  /** Fields that have another value than before: `spec.kubelet.maxPods`. */
  readonly changed: readonly string[];
  readonly restarted: readonly string[];
  /** Of fields that do not do all that one may think. */
  readonly notes: readonly string[];
}

export interface ReloaderOptions {
  readonly node: PreparedNode;
  readonly secretOf: SecretReader;
  readonly supervisor: () => Pick<Supervisor, 'replace' | 'status'>;
  /** Everything of a plan that is no component: files, certificates, executables. Idempotent. */
  readonly realise: (next: Planned, before: Planned) => Promise<void>;
  /** Fresh descriptions of what can be replaced. */
  readonly componentsFor: (planned: Planned, secretOf: SecretReader) => readonly Component[];
  /** Told of each configuration that the node has taken over. */
  readonly onTaken?: (planned: Planned, secretOf: SecretReader) => void;
  readonly rules?: ReloadRules;
  readonly logger: Logger;
  readonly onEvent: (event: NodeEvent) => void;
  /** How long a component may take that was ready before, milliseconds. */
  readonly readyTimeoutMs?: number;
}

export interface Reloader {
  /** What the node runs with. */
  current(): Planned;
  /**
   * Takes over what the configuration says now: all of it, or nothing. One after the other.
   * @throws UserError or UserErrors: why not. The node goes on with what it had.
   */
  reload(): Promise<ReloadReport>;
}

/** A component that fails this often with the new configuration does not run with it. */
const maxFailures = 2;

/** As long as a component has for its start. */
const defaultReadyTimeoutMs = 120_000;

/** What runs, and what it was made from. */
interface Running extends Planned {
  readonly secretOf: SecretReader;
  readonly view: ProcessView;
}

/** Changes what runs, and only what has to change. */
export function createReloader(options: ReloaderOptions): Reloader {
  const { node } = options;
  let running = viewOf(node, options.secretOf);
  let last: Promise<unknown> = Promise.resolve();

  async function reload(): Promise<ReloadReport> {
    const next = await node.replan();
    throwCollected(refusedChanges(running.config, next.config, options.rules));
    const before = running;
    const { taken, restarted } = await takeOver(before, next, options);
    running = taken;
    const changed = changedFields(before.config, next.config).map(({ path }) => path);
    const report = { changed, restarted, notes: notesOn(changed, options.rules) };
    options.onEvent({ type: 'reloaded', ...report });
    // Reading and planning leaves some MiB that an idle process would keep.
    collectTwice();
    return report;
  }

  return {
    current: () => running,
    reload: () => {
      const result = last.then(reload);
      last = result.catch((error: unknown) => {
        logBug(error, options.logger);
        options.onEvent({ type: 'reload-refused', messages: messagesOf(error) });
      });
      return result;
    },
  };
}

async function takeOver(
  before: Running,
  next: Planned,
  options: ReloaderOptions,
): Promise<{ readonly taken: Running; readonly restarted: readonly string[] }> {
  const known = options.supervisor().status();
  let restarted: readonly string[] = [];
  try {
    await options.realise(next, before);
    const taken = viewOf(next, await readSecrets(next.plan, next.config));
    restarted = changedNames(before, taken, options);
    await replaceAll(restarted, taken, options);
    // The loops of this program have their own time: an import of images may take minutes.
    const processes = taken.plan.processes.map(({ name }) => name);
    const watched = known.filter(
      (status) =>
        processes.includes(status.name) && restarted.includes(status.name) && isReady(status),
    );
    await awaitReady(watched, options);
    options.onTaken?.(taken, taken.secretOf);
    return { taken, restarted };
  } catch (error) {
    await goBack({ before, next, restarted }, options);
    throw error;
  }
}

interface Failed {
  readonly before: Running;
  readonly next: Planned;
  readonly restarted: readonly string[];
}

/** Does what it can: why the new configuration failed matters more than why the old one cannot be had back. */
async function goBack(
  { before, next, restarted }: Failed,
  options: ReloaderOptions,
): Promise<void> {
  options.logger.warn('going back to the configuration from before');
  try {
    await options.realise(before, next);
    await replaceAll(restarted, before, options);
  } catch (error) {
    options.logger.error('could not go back', { reason: errorMessage(error) });
  }
}

/** Those of the changed parts of a plan that this node runs. */
function changedNames(before: Running, after: Running, options: ReloaderOptions): string[] {
  const changed = [...changedProcesses(before.view, after.view), ...changedLoops(before, after)];
  const known = new Set(
    options
      .supervisor()
      .status()
      .map(({ name }) => name),
  );
  return changed.filter((name) => known.has(name));
}

async function replaceAll(
  names: readonly string[],
  { secretOf, ...planned }: Running,
  options: ReloaderOptions,
): Promise<void> {
  const components = options.componentsFor(planned, secretOf);
  for (const component of components.filter(({ name }) => names.includes(name))) {
    await options.supervisor().replace(component);
  }
}

/**
 * @param before as they were before they were replaced.
 * @throws UserError for one that does not serve, or has failed again and again.
 */
async function awaitReady(
  before: readonly ComponentStatus[],
  options: ReloaderOptions,
): Promise<void> {
  const { readyTimeoutMs = defaultReadyTimeoutMs } = options;
  const starts = new Map(before.map(({ name, restartCount }) => [name, restartCount]));
  const read = () =>
    options
      .supervisor()
      .status()
      .filter(({ name }) => starts.has(name));
  // Between two tries its last words are those of the one that failed.
  const hasFailed = ({ name, restartCount, state }: ComponentStatus) =>
    state.type === 'Waiting' &&
    state.reason === 'CrashLoopBackOff' &&
    restartCount - (starts.get(name) ?? 0) >= maxFailures;
  const { bad } = await waitFor(
    () => {
      const statuses = read();
      const failed = statuses.find(hasFailed);
      if (failed !== undefined) return { bad: failed };
      return statuses.every(isReady) && { bad: undefined };
    },
    { subject: 'components to be ready again', timeoutMs: readyTimeoutMs, intervalMs: 50 },
  ).catch(() => ({ bad: read().find((status) => !isReady(status)) }));
  if (bad !== undefined) throw notRunning(bad);
}

function notRunning({ name, lastTermination, lastOutput }: ComponentStatus): UserError {
  const reason = lastTermination?.message ?? 'it did not become ready in time';
  const said = lastOutput.slice(-3).join('\n  ');
  return new UserError({
    what: 'use the new configuration',
    why: `${name} does not run with it (${reason})${said === '' ? '' : `:\n  ${said}`}`,
    fix: 'the node has gone back to the one from before; correct it and run mini-k8s reload again',
  });
}

function isReady({ state }: ComponentStatus): boolean {
  return state.type === 'Running' && state.ready;
}

function viewOf({ config, plan }: Planned, secretOf: SecretReader): Running {
  const processes = plan.processes.map((process) => fillProcess(process, secretOf));
  return { config, plan, secretOf, view: { processes, files: plan.files } };
}

/** What is no problem of the configuration needs its stack. */
function logBug(error: unknown, logger: Logger): void {
  if (error instanceof UserError || error instanceof UserErrors) return;
  const stack = error instanceof Error ? error.stack : undefined;
  logger.error('the reload failed', { stack: stack ?? String(error) });
}

function messagesOf(error: unknown): string[] {
  return error instanceof UserErrors
    ? error.errors.map(({ message }) => message)
    : [errorMessage(error)];
}
