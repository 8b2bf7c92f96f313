import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  backoffDelayMs,
  defaultBackoff,
  initialLifecycle,
  isReady,
  type Lifecycle,
  type LifecycleEvent,
  restartCount,
  transition,
} from '../../../src/supervisor/state.ts';
import type { Termination } from '../../../src/supervisor/types.ts';

const crash: Termination = {
  reason: 'Error',
  exitCode: 1,
  message: 'exited with code 1',
  finishedAt: 5,
};

function terminated(
  over: Partial<Extract<LifecycleEvent, { type: 'terminated' }>> = {},
): LifecycleEvent {
  return { type: 'terminated', termination: crash, readyForMs: 0, random: 0, now: 1000, ...over };
}

function apply(events: readonly LifecycleEvent[], from: Lifecycle = initialLifecycle): Lifecycle {
  return events.reduce((lifecycle, event) => transition(lifecycle, event), from);
}

const start: LifecycleEvent = { type: 'start', now: 10 };

const anyReason = fc.constantFrom('Completed', 'Error', 'Killed', 'StartTimeout', 'Stopped');

const anyEvent: fc.Arbitrary<LifecycleEvent> = fc.oneof(
  fc.record({
    type: fc.constant('blocked'),
    dependencies: fc.array(fc.string(), { minLength: 1 }),
  }),
  fc.record({ type: fc.constant('start'), now: fc.nat() }),
  fc.record({ type: fc.constant('spawned'), pid: fc.integer({ min: 2 }) }),
  fc.record({ type: fc.constant('ready') }),
  fc.record({
    type: fc.constant('terminated'),
    termination: fc.record({ reason: anyReason, finishedAt: fc.nat() }),
    readyForMs: fc.nat(100_000),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    now: fc.nat(),
  }),
  fc.record({ type: fc.constant('restart') }),
  fc.record({ type: fc.constant('stop') }),
);

describe('transition', () => {
  test('goes from waiting over running to ready', () => {
    const { state } = apply([start, { type: 'spawned', pid: 42 }, { type: 'ready' }]);
    expect(state).toEqual({ type: 'Running', ready: true, startedAt: 10, pid: 42 });
  });

  test('names the dependencies that it waits for', () => {
    const { state } = apply([{ type: 'blocked', dependencies: ['etcd', 'dns'] }]);
    expect(state).toEqual({
      type: 'Waiting',
      reason: 'DependencyNotReady',
      message: 'waiting for etcd, dns',
    });
  });

  test('waits longer after each failure, with its message and the time of the next try', () => {
    const once = apply([start, terminated()]);
    expect(once.state).toEqual({
      type: 'Waiting',
      reason: 'CrashLoopBackOff',
      message: 'exited with code 1',
      retryAt: 1500,
    });
    expect(apply([start, terminated()], once).state).toMatchObject({ retryAt: 2000 });
  });

  test('begins the backoff anew after it was ready for long enough', () => {
    const thrice = apply([start, terminated(), start, terminated(), start, terminated()]);
    const after = apply([start, terminated({ readyForMs: 30_000 })], thrice);
    expect(after.state).toMatchObject({ retryAt: 1500 });
    const tooEarly = apply([start, terminated({ readyForMs: 29_999 })], thrice);
    expect(tooEarly.state).toMatchObject({ retryAt: 5000 });
  });

  test('does not start again what has completed, and lets its dependents start', () => {
    const termination: Termination = { reason: 'Completed', finishedAt: 7 };
    const done = apply([start, terminated({ termination })]);
    expect(done.state).toEqual({ type: 'Terminated', termination });
    expect(isReady(done)).toBe(true);
    expect(apply([start], done)).toBe(done);
  });

  test('restarts over Terminating, without backoff and without failures', () => {
    const failing = apply([start, terminated(), start, terminated(), start]);
    const restarting = apply([{ type: 'restart' }], failing);
    expect(restarting.state.type).toBe('Terminating');
    const waiting = apply([terminated()], restarting);
    expect(waiting.state).toMatchObject({ type: 'Waiting', reason: 'DependencyNotReady' });
    expect(apply([start, terminated()], waiting).state).toMatchObject({ retryAt: 1500 });
  });

  test('cuts a backoff short on restart', () => {
    const backingOff = apply([start, terminated()]);
    expect(apply([{ type: 'restart' }], backingOff).state).not.toHaveProperty('retryAt');
  });

  test('ends for good on stop, keeping the termination before', () => {
    const stopped: Termination = { reason: 'Stopped', signal: 'SIGTERM', finishedAt: 9 };
    const end = apply([
      start,
      terminated(),
      start,
      { type: 'stop' },
      terminated({ termination: stopped }),
    ]);
    expect(end.state).toEqual({ type: 'Terminated', termination: stopped });
    expect(end.lastTermination).toEqual(crash);
  });
});

describe('transition, for any sequence of events', () => {
  const anyHistory = fc.array(anyEvent, { maxLength: 40 });

  test('is defined', () => {
    const types = ['Waiting', 'Running', 'Terminating', 'Terminated'];
    fc.assert(fc.property(anyHistory, (events) => types.includes(apply(events).state.type)));
  });

  test('never runs after stop', () => {
    fc.assert(
      fc.property(anyHistory, anyHistory, (before, after) => {
        let lifecycle = apply([...before, { type: 'stop' }]);
        for (const event of after) {
          lifecycle = transition(lifecycle, event);
          expect(['Terminating', 'Terminated']).toContain(lifecycle.state.type);
        }
      }),
    );
  });

  test('never counts restarts down, and up by one at most', () => {
    fc.assert(
      fc.property(anyHistory, (events) => {
        let before = initialLifecycle;
        for (const event of events) {
          const after = transition(before, event);
          expect([0, 1]).toContain(restartCount(after) - restartCount(before));
          before = after;
        }
      }),
    );
  });

  test('has a time to retry exactly in CrashLoopBackOff', () => {
    fc.assert(
      fc.property(anyHistory, (events) => {
        const { state } = apply(events);
        if (state.type !== 'Waiting') return;
        expect(state.retryAt !== undefined).toBe(state.reason === 'CrashLoopBackOff');
      }),
    );
  });

  test('waits between half a second and 33 seconds after a failure', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(), (events, now) => {
        const { state } = apply([...events, start, terminated({ now })]);
        if (state.type !== 'Waiting' || state.retryAt === undefined) return;
        fc.pre(apply([...events, start]).state.type === 'Running');
        expect(state.retryAt - now).toBeGreaterThanOrEqual(500);
        expect(state.retryAt - now).toBeLessThanOrEqual(33_000);
      }),
    );
  });

  test('is ready only while it runs or when it has completed', () => {
    fc.assert(
      fc.property(anyHistory, (events) => {
        const lifecycle = apply(events);
        if (!isReady(lifecycle)) return;
        const { state } = lifecycle;
        if (state.type === 'Terminated') expect(state.termination.reason).toBe('Completed');
        else expect(state).toMatchObject({ type: 'Running', ready: true });
      }),
    );
  });
});

describe('backoffDelayMs', () => {
  test('doubles from half a second to half a minute', () => {
    const delays = [1, 2, 3, 6, 7, 8, 1000].map((n) => backoffDelayMs(n, 0, defaultBackoff));
    expect(delays).toEqual([500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
  });

  test('adds up to a tenth', () => {
    const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), anyRandom, (failures, random) => {
        const plainMs = backoffDelayMs(failures, 0, defaultBackoff);
        const delayMs = backoffDelayMs(failures, random, defaultBackoff);
        expect(delayMs).toBeGreaterThanOrEqual(plainMs);
        expect(delayMs).toBeLessThanOrEqual(plainMs * 1.1);
      }),
    );
  });
});
