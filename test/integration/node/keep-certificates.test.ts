import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { keepCertificates } from '../../../src/node/keep-certificates.ts';

const signal = new AbortController().signal;

/** Two clocks that only the test moves; the loop looks at them every millisecond. */
function rig(ensure: () => Promise<void>) {
  const clocks = { wallMs: 1_000_000, monotonicMs: 0 };
  let calls = 0;
  const component = keepCertificates({
    clock: { now: () => clocks.wallMs },
    monotonicMs: () => clocks.monotonicMs,
    ensure: async () => {
      calls += 1;
      await ensure();
    },
    timing: { intervalMs: 3_600_000, tickMs: 1 },
  });
  const pass = (ms: number) => {
    clocks.wallMs += ms;
    clocks.monotonicMs += ms;
  };
  const untilCalls = (count: number) =>
    waitFor(() => calls === count, {
      subject: `call ${count}`,
      timeoutMs: 20_000,
      intervalMs: 1,
      describe: () => `${calls} calls`,
    });
  return { clocks, component, pass, untilCalls, calls: () => calls };
}

/** Time enough for many looks of the loop. */
const someTicks = () => new Promise((resolve) => setTimeout(resolve, 50));

describe('keepCertificates', () => {
  it('looks every hour, and at once after the clock was set', async () => {
    const { clocks, component, pass, untilCalls, calls } = rig(async () => {});
    const running = await component.start(signal);
    pass(3_599_000);
    await someTicks();
    expect(calls()).toBe(0);
    pass(1000);
    await untilCalls(1);
    clocks.wallMs += 30_000;
    await someTicks();
    expect(calls()).toBe(1);
    clocks.wallMs -= 50 * 365 * 86_400_000;
    await untilCalls(2);
    await someTicks();
    expect(calls()).toBe(2);
    await running.stop();
    expect((await running.terminated).reason).toBe('Stopped');
  });

  it('fails as a component, and tries again as soon as it is started again', async () => {
    let isDiskFull = true;
    const { component, pass, untilCalls } = rig(async () => {
      if (isDiskFull) throw new Error('the disk is full');
    });
    const first = await component.start(signal);
    pass(3_600_000);
    expect(await first.terminated).toMatchObject({ reason: 'Error', message: 'the disk is full' });
    isDiskFull = false;
    const second = await component.start(signal);
    await untilCalls(2);
    await second.stop();
  });
});
