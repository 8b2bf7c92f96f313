import type { ComponentState, Termination } from './types.ts';

/** How long a failed component waits before its next start. */
export interface BackoffPolicy {
  readonly initialMs: number;
  readonly maxMs: number;
  /** After being ready for this long a failure counts as the first one again. */
  readonly resetAfterMs: number;
}

/** Fast enough for a component that lost a race at boot, slow enough not to wear out an SD card. */
export const defaultBackoff: BackoffPolicy = {
  initialMs: 500,
  maxMs: 30_000,
  resetAfterMs: 30_000,
};

/** Everything that the next state depends on. */
export interface Lifecycle {
  readonly state: ComponentState;
  /** What its end will mean: a failure, the first half of a restart, or the end for good. */
  readonly intent: 'run' | 'restart' | 'stop';
  /** How often it was started. */
  readonly starts: number;
  /** Failures in a row; decides the backoff. */
  readonly failures: number;
  /** The termination before the current state, as in ContainerStatus' `lastState`. */
  readonly lastTermination?: Termination;
}

export type LifecycleEvent =
  | { readonly type: 'blocked'; readonly dependencies: readonly string[] }
  | { readonly type: 'start'; readonly now: number }
  | { readonly type: 'spawned'; readonly pid: number }
  | { readonly type: 'ready' }
  | {
      readonly type: 'terminated';
      readonly termination: Termination;
      /** How long it had been ready; 0 when it never was. */
      readonly readyForMs: number;
      /** From 0 to below 1, for the jitter. */
      readonly random: number;
      readonly now: number;
    }
  | { readonly type: 'restart' }
  | { readonly type: 'stop' };

export const initialLifecycle: Lifecycle = {
  state: { type: 'Waiting', reason: 'DependencyNotReady', message: 'not started yet' },
  intent: 'run',
  starts: 0,
  failures: 0,
};

/**
 * The next lifecycle. Pure, and defined for every event in every state: an event that means
 * nothing there returns the same value. After `stop` it never runs again.
 *
 * ```
 *             start           ready
 *  Waiting ─────────► Running ─────► Running(ready)      stop from anywhere ► Terminating ► Terminated
 *     ▲                  │ terminated     │ terminated    Completed          ► Terminated
 *     │ CrashLoopBackOff │                │               restart            ► Terminating ► Waiting
 *     └──────────────────┴────────────────┘
 * ```
 */
export function transition(
  from: Lifecycle,
  event: LifecycleEvent,
  backoff: BackoffPolicy = defaultBackoff,
): Lifecycle {
  switch (event.type) {
    case 'blocked':
      return from.state.type === 'Waiting' ? { ...from, state: waitingFor(event) } : from;
    case 'start':
      return onStart(from, event.now);
    case 'spawned':
      return from.state.type === 'Running'
        ? { ...from, state: { ...from.state, pid: event.pid } }
        : from;
    case 'ready':
      return from.state.type === 'Running'
        ? { ...from, state: { ...from.state, ready: true } }
        : from;
    case 'terminated':
      return onTerminated(from, event, backoff);
    case 'restart':
      return onRestart(from);
    case 'stop':
      return onStop(from);
  }
}

/** How often it was started again. */
export function restartCount(lifecycle: Lifecycle): number {
  return Math.max(0, lifecycle.starts - 1);
}

/** True when its dependents may start: it serves, or its work is done. */
export function isReady(lifecycle: Lifecycle): boolean {
  const { state } = lifecycle;
  if (state.type === 'Running') return state.ready;
  return state.type === 'Terminated' && state.termination.reason === 'Completed';
}

/**
 * Milliseconds until the next start after `failures` failures in a row (1 or more), with up to
 * 10 % added so that components that failed together do not come back together.
 */
export function backoffDelayMs(failures: number, random: number, backoff: BackoffPolicy): number {
  const delayMs = Math.min(backoff.maxMs, backoff.initialMs * 2 ** (failures - 1));
  return Math.round(delayMs * (1 + 0.1 * random));
}

function onStart(from: Lifecycle, now: number): Lifecycle {
  if (from.state.type !== 'Waiting' || from.intent !== 'run') return from;
  return {
    ...from,
    state: { type: 'Running', ready: false, startedAt: now },
    starts: from.starts + 1,
  };
}

function onTerminated(
  from: Lifecycle,
  event: Extract<LifecycleEvent, { type: 'terminated' }>,
  backoff: BackoffPolicy,
): Lifecycle {
  const { termination } = event;
  if (from.state.type === 'Terminating') {
    return from.intent === 'restart'
      ? { ...aboutToStart(from), lastTermination: termination }
      : { ...from, state: { type: 'Terminated', termination } };
  }
  if (from.state.type !== 'Running') return from;
  if (termination.reason === 'Completed') {
    return { ...from, state: { type: 'Terminated', termination }, failures: 0 };
  }
  const failures = event.readyForMs >= backoff.resetAfterMs ? 1 : from.failures + 1;
  return {
    ...from,
    state: {
      type: 'Waiting',
      reason: 'CrashLoopBackOff',
      message: termination.message ?? termination.reason,
      retryAt: event.now + backoffDelayMs(failures, event.random, backoff),
    },
    failures,
    lastTermination: termination,
  };
}

function onRestart(from: Lifecycle): Lifecycle {
  if (from.intent === 'stop') return from;
  switch (from.state.type) {
    case 'Running':
      return { ...from, state: { type: 'Terminating' }, intent: 'restart' };
    case 'Terminating':
      return from;
    case 'Terminated':
      return { ...aboutToStart(from), lastTermination: from.state.termination };
    case 'Waiting':
      return aboutToStart(from);
  }
}

function onStop(from: Lifecycle): Lifecycle {
  if (from.state.type === 'Terminated') return { ...from, intent: 'stop' };
  return { ...from, state: { type: 'Terminating' }, intent: 'stop' };
}

function aboutToStart(from: Lifecycle): Lifecycle {
  return {
    ...from,
    state: { type: 'Waiting', reason: 'DependencyNotReady', message: 'about to start again' },
    intent: 'run',
    failures: 0,
  };
}

function waitingFor(event: Extract<LifecycleEvent, { type: 'blocked' }>): ComponentState {
  return {
    type: 'Waiting',
    reason: 'DependencyNotReady',
    message: `waiting for ${event.dependencies.join(', ')}`,
  };
}
