import { describe, expect, it } from 'vitest';
import { untilAborted } from '../../../src/base/time.ts';
import { loopComponent } from '../../../src/node/loop-component.ts';

const clock = { now: () => 42 };
const signal = new AbortController().signal;
const base = { name: 'loop', dependsOn: ['api'], clock };

describe('loopComponent', () => {
  it('runs until it is stopped', async () => {
    const component = loopComponent({ ...base, run: untilAborted });
    const running = await component.start(signal);
    await running.waitReady(signal);
    await running.stop();
    await running.stop();
    expect(await running.terminated).toEqual({ reason: 'Stopped', finishedAt: 42 });
  });

  it('tells why it failed, and that it has done its work', async () => {
    const failing = loopComponent({ ...base, run: () => Promise.reject(new Error('no API')) });
    expect(await (await failing.start(signal)).terminated).toEqual({
      reason: 'Error',
      message: 'no API',
      finishedAt: 42,
    });
    const done = await loopComponent({ ...base, run: async () => {} }).start(signal);
    expect((await done.terminated).reason).toBe('Completed');
  });

  it('counts an error while it stops as stopped', async () => {
    const running = await loopComponent({
      ...base,
      run: async (abort) => {
        await untilAborted(abort);
        throw new Error('interrupted');
      },
    }).start(signal);
    await running.stop();
    expect((await running.terminated).reason).toBe('Stopped');
  });

  it('is ready when it says so', async () => {
    const ready = Promise.withResolvers<void>();
    const running = await loopComponent({
      ...base,
      run: untilAborted,
      ready: () => ready.promise,
    }).start(signal);
    let isReady = false;
    const waiting = running.waitReady(signal).then(() => {
      isReady = true;
    });
    await Promise.resolve();
    expect(isReady).toBe(false);
    ready.resolve();
    await waiting;
    await running.stop();
  });

  it('is never ready when it ends or is given up before', async () => {
    const never = () => new Promise<void>(() => {});
    const failed = await loopComponent({
      ...base,
      run: () => Promise.reject(new Error('no API')),
      ready: never,
    }).start(signal);
    await expect(failed.waitReady(signal)).rejects.toThrow('no API');
    const abort = new AbortController();
    const running = await loopComponent({ ...base, run: untilAborted, ready: never }).start(signal);
    const waiting = running.waitReady(abort.signal);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await running.stop();
  });
});
