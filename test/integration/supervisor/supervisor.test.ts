import { describe, expect, test } from 'vitest';
import { sleep, waitFor } from '../../../src/base/time.ts';
import type { Component } from '../../../src/supervisor/types.ts';
import { Rig, statusOf } from './rig.ts';

const never = new AbortController().signal;

describe('start', () => {
  test('starts each after its dependencies are ready, and stops them in reverse', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.wellBehaved('kubelet', 'api'),
      rig.wellBehaved('api', 'etcd'),
      rig.wellBehaved('etcd'),
    ]);
    await supervisor.start(never);
    expect(supervisor.status().map(({ state }) => state)).toMatchObject([
      { type: 'Running', ready: true },
      { type: 'Running', ready: true },
      { type: 'Running', ready: true },
    ]);
    await supervisor.stop();
    expect(rig.read('journal').trim().split('\n')).toEqual([
      'start etcd',
      'start api',
      'start kubelet',
      'stop kubelet',
      'stop api',
      'stop etcd',
    ]);
    expect(rig.history('etcd')).toEqual(['starting', 'ready', 'stopping', 'stopped']);
    expect(statusOf(supervisor, 'etcd').state).toMatchObject({
      type: 'Terminated',
      termination: { reason: 'Stopped', exitCode: 0 },
    });
  });

  test('does not wait for components that are no dependency', async () => {
    await using rig = new Rig();
    const slow = rig.script('slow', ['never-ready.sh'], { readyFile: 'never' });
    const supervisor = rig.supervise([slow, rig.wellBehaved('a'), rig.wellBehaved('b', 'a')]);
    const started = expect(supervisor.start(never)).rejects.toThrow('stopped during its start');
    await supervisor.waitReady(['a', 'b'], never);
    const slowState = () => statusOf(supervisor, 'slow').state;
    await waitFor(() => slowState().type === 'Running', { subject: 'slow', timeoutMs: 20_000 });
    expect(slowState()).toMatchObject({ type: 'Running', ready: false });
    await supervisor.stop();
    await started;
  });

  test('names the dependency that is not ready', async () => {
    await using rig = new Rig();
    const slow = rig.script('slow', ['never-ready.sh'], { readyFile: 'never' });
    const supervisor = rig.supervise([slow, rig.wellBehaved('b', 'slow')]);
    const started = supervisor.start(AbortSignal.timeout(300));
    await expect(started).rejects.toThrow('timeout');
    expect(statusOf(supervisor, 'b')).toMatchObject({
      state: { type: 'Waiting', reason: 'DependencyNotReady', message: 'waiting for slow' },
      restartCount: 0,
    });
    expect(rig.history('b')).toEqual([]);
  });

  test('refuses a cycle and a second start of a name', () => {
    const rig = new Rig();
    expect(() => rig.supervise([rig.wellBehaved('a', 'b'), rig.wellBehaved('b', 'a')])).toThrow(
      'a → b → a',
    );
    return rig[Symbol.asyncDispose]();
  });
});

describe('a component that ends', () => {
  test('is started again with backoff until it serves, and disturbs no other', async () => {
    await using rig = new Rig();
    const crashing = rig.script('crashing', ['crashes-at-first.sh', '3', rig.dir], {
      readyFile: 'recovered',
    });
    const supervisor = rig.supervise([rig.wellBehaved('calm'), crashing]);
    await supervisor.start(never);
    const cycle = ['starting', 'terminated'];
    expect(rig.history('crashing')).toEqual([...cycle, ...cycle, ...cycle, 'starting', 'ready']);
    expect(rig.history('calm')).toEqual(['starting', 'ready']);
    const retries = rig.events.flatMap((event) =>
      event.type === 'component-terminated' ? [event.retryInMs] : [],
    );
    expect(retries).toEqual([40, 80, 160]);
    expect(await rig.waitForEvent('component-terminated', 3)).toMatchObject({
      termination: { reason: 'Error', exitCode: 3, message: 'exited with code 3' },
      lastOutput: ['run 3: the database is gone'],
    });
    expect(statusOf(supervisor, 'crashing')).toMatchObject({
      restartCount: 3,
      lastTermination: { exitCode: 3 },
      state: { type: 'Running', ready: true },
    });
  });

  test('is shown in CrashLoopBackOff with its last words, and stop does not wait for the backoff', async () => {
    await using rig = new Rig();
    const crashing = rig.script('crashing', ['crashes-at-first.sh', '9', rig.dir], {
      readyFile: 'recovered',
    });
    const supervisor = rig.supervise([crashing, rig.wellBehaved('after', 'crashing')], {
      backoffMs: 60_000,
    });
    const started = supervisor.start(never).catch(() => 'rejected');
    await rig.waitForEvent('component-terminated');
    expect(statusOf(supervisor, 'crashing')).toMatchObject({
      state: { type: 'Waiting', reason: 'CrashLoopBackOff', message: 'exited with code 3' },
      lastOutput: ['run 1: the database is gone'],
    });
    const before = performance.now();
    await supervisor.stop();
    expect(performance.now() - before).toBeLessThan(30_000);
    expect(await started).toBe('rejected');
    expect(statusOf(supervisor, 'crashing')).toMatchObject({
      state: { type: 'Terminated', termination: { reason: 'Stopped' } },
      lastTermination: { exitCode: 3 },
    });
  });

  test('leaves its dependents running and comes back by itself', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('base'), rig.wellBehaved('top', 'base')]);
    await supervisor.start(never);
    const { state } = statusOf(supervisor, 'base');
    if (state.type !== 'Running' || state.pid === undefined) throw new Error('base has no pid');
    process.kill(state.pid, 'SIGKILL');
    const { termination } = await rig.waitForEvent('component-terminated');
    expect(termination).toMatchObject({ reason: 'Killed', signal: 'SIGKILL' });
    expect(termination.message).toContain('memory');
    await supervisor.waitReady(undefined, never);
    expect(rig.history('base')).toEqual(['starting', 'ready', 'terminated', 'starting', 'ready']);
    expect(rig.history('top')).toEqual(['starting', 'ready']);
  });
});

describe('restart', () => {
  test('ends the old process and starts a new one, without backoff', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('a'), rig.wellBehaved('b', 'a')]);
    await supervisor.start(never);
    const before = statusOf(supervisor, 'a').state;
    await supervisor.restart('a');
    await supervisor.waitReady(['a'], never);
    expect(rig.history('a')).toEqual([
      'starting',
      'ready',
      'stopping',
      'stopped',
      'starting',
      'ready',
    ]);
    expect(rig.history('b')).toEqual(['starting', 'ready']);
    const after = statusOf(supervisor, 'a');
    expect(after).toMatchObject({ restartCount: 1, lastTermination: { reason: 'Stopped' } });
    expect(after.state).not.toEqual(before);
    await expect(supervisor.restart('nobody')).rejects.toThrow('There is no component nobody');
  });

  test('cuts a backoff short', async () => {
    await using rig = new Rig();
    const crashing = rig.script('crashing', ['crashes-at-first.sh', '1', rig.dir], {
      readyFile: 'recovered',
    });
    const supervisor = rig.supervise([crashing], { backoffMs: 60_000 });
    const started = supervisor.start(never);
    await rig.waitForEvent('component-terminated');
    await supervisor.restart('crashing');
    await started;
    expect(statusOf(supervisor, 'crashing').restartCount).toBe(1);
  });
});

describe('replace', () => {
  test('goes on with another description of one component, and disturbs no other', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('a'), rig.wellBehaved('b', 'a')]);
    await supervisor.start(never);
    const other = rig.script('a', ['well-behaved.sh', 'other', rig.dir], {
      readyFile: 'other.ready',
    });
    await supervisor.replace(other);
    await supervisor.waitReady(undefined, never);
    expect(rig.history('b')).toEqual(['starting', 'ready']);
    expect(statusOf(supervisor, 'a').restartCount).toBe(1);
    await supervisor.restart('a');
    await supervisor.waitReady(undefined, never);
    const starts = rig.read('journal').match(/^start .*$/gm);
    expect(starts).toEqual(['start a', 'start b', 'start other', 'start other']);
  });

  test('takes only who is there, with the dependencies that it had', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('a'), rig.wellBehaved('b', 'a')]);
    await expect(supervisor.replace(rig.wellBehaved('c'))).rejects.toThrow('no component c');
    await expect(supervisor.replace(rig.wellBehaved('b'))).rejects.toThrow('other components');
  });
});

describe('stop', () => {
  test('before start leaves nothing to start', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('a')]);
    await supervisor.stop();
    await expect(supervisor.start(never)).rejects.toThrow('stopped');
    expect(statusOf(supervisor, 'a').state.type).toBe('Terminated');
    expect(rig.events).toEqual([]);
  });

  test('during start ends what has begun, and twice is once', async () => {
    await using rig = new Rig();
    const slow = rig.script('slow', ['never-ready.sh'], { readyFile: 'never', dependsOn: ['a'] });
    const supervisor = rig.supervise([rig.wellBehaved('a'), slow, rig.wellBehaved('b', 'slow')]);
    const started = supervisor.start(never).catch(() => 'rejected');
    await waitFor(() => rig.history('slow').includes('starting'), {
      subject: 'slow',
      timeoutMs: 20_000,
    });
    await Promise.all([supervisor.stop(), supervisor.stop()]);
    expect(await started).toBe('rejected');
    expect(rig.history('a')).toEqual(['starting', 'ready', 'stopping', 'stopped']);
    expect(rig.history('slow')).toEqual(['starting', 'stopping', 'stopped']);
    expect(rig.history('b')).toEqual([]);
    expect(supervisor.status().map(({ state }) => state.type)).toEqual(Array(3).fill('Terminated'));
  });
});

describe('a component that crashes while everything stops', () => {
  test('is not started again, nor shown as if it were', async () => {
    await using rig = new Rig();
    const release = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    // Ends when the test says so, and what it depends on is not told to end before.
    const top = loop({
      name: 'top',
      dependsOn: ['base'],
      start: async () => ({
        terminated: ended.promise.then(() => ({ reason: 'Stopped', finishedAt: Date.now() })),
        waitReady: async () => {},
        stop: async () => {
          await release.promise;
          ended.resolve();
        },
      }),
    });
    const supervisor = rig.supervise([rig.wellBehaved('base'), top]);
    await supervisor.start(never);
    const { state } = statusOf(supervisor, 'base');
    if (state.type !== 'Running' || state.pid === undefined) throw new Error(state.type);
    const stopped = supervisor.stop();
    process.kill(state.pid, 'SIGKILL');
    const event = await rig.waitForEvent('component-terminated');
    expect(event).toMatchObject({ name: 'base', termination: { reason: 'Killed' } });
    expect(event).not.toHaveProperty('retryInMs');
    expect(statusOf(supervisor, 'base').state.type).toBe('Terminated');
    release.resolve();
    await stopped;
    expect(rig.history('base')).toEqual(['starting', 'ready', 'terminated']);
    expect(rig.history('top')).toEqual(['starting', 'ready', 'stopping', 'stopped']);
  });
});

describe('components in this process', () => {
  test('start, become ready and stop among processes', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.wellBehaved('first'),
      loop({ name: 'tunnel', dependsOn: ['first'] }),
      rig.wellBehaved('last', 'tunnel'),
    ]);
    await supervisor.start(never);
    expect(statusOf(supervisor, 'tunnel')).not.toHaveProperty('anonymousBytes');
    expect(statusOf(supervisor, 'first').anonymousBytes).toBeGreaterThan(10_000);
    await supervisor.stop();
    const order = rig.events.flatMap((e) => (e.type === 'component-stopped' ? [e.name] : []));
    expect(order).toEqual(['last', 'tunnel', 'first']);
  });

  test('that throw while they start are tried again, with the stack in the log', async () => {
    await using rig = new Rig();
    let calls = 0;
    const { start } = loop({ name: 'x' });
    const supervisor = rig.supervise([
      loop({
        name: 'flaky',
        start: (signal) => {
          calls += 1;
          if (calls < 3) throw new TypeError('no such thing');
          return start(signal);
        },
      }),
    ]);
    await supervisor.start(never);
    expect(statusOf(supervisor, 'flaky').lastTermination).toMatchObject({
      reason: 'Error',
      message: 'no such thing',
    });
    expect(rig.log.filter(({ level }) => level === 'error')).toHaveLength(2);
  });

  test('that complete are not started again and satisfy their dependents', async () => {
    await using rig = new Rig();
    const once = loop({
      name: 'once',
      start: async () => ({
        terminated: Promise.resolve({ reason: 'Completed', finishedAt: 1 }),
        waitReady: () => sleep(60_000, never),
        stop: async () => {},
      }),
    });
    const supervisor = rig.supervise([once, rig.wellBehaved('next', 'once')]);
    await supervisor.start(never);
    expect(rig.history('once')).toEqual(['starting', 'terminated']);
    expect(statusOf(supervisor, 'once').state).toMatchObject({
      type: 'Terminated',
      termination: { reason: 'Completed' },
    });
  });

  test('that are told to end while they start are ended once they have started', async () => {
    await using rig = new Rig();
    const gate = Promise.withResolvers<void>();
    const { start } = loop({ name: 'x' });
    const slow = loop({
      name: 'slow',
      start: async (signal) => {
        await gate.promise;
        return start(signal);
      },
    });
    const supervisor = rig.supervise([slow]);
    const started = supervisor.start(never).catch(() => 'rejected');
    await rig.waitForEvent('component-starting');
    const stopped = supervisor.stop();
    gate.resolve();
    await stopped;
    expect(await started).toBe('rejected');
    expect(rig.history('slow')).toEqual(['starting', 'stopping', 'stopped']);
  });

  test('a listener that throws ends nothing', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('a')]);
    rig.events.push = () => {
      throw new Error('reporter is broken');
    };
    await supervisor.start(never);
    expect(rig.log.some(({ msg }) => msg.includes('listener'))).toBe(true);
  });
});

/** A component that is no process: it runs until it is stopped. */
function loop(over: Partial<Component> & { readonly name: string }): Component {
  return {
    dependsOn: [],
    start: async () => {
      const ended = Promise.withResolvers<void>();
      return {
        terminated: ended.promise.then(() => ({ reason: 'Stopped', finishedAt: Date.now() })),
        waitReady: async () => {},
        stop: async () => ended.resolve(),
      };
    },
    ...over,
  };
}
