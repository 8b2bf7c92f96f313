import { afterEach, expect, test, vi } from 'vitest';
import type { StepEvent } from '../../../src/node/events.ts';
import { reportStep } from '../../../src/node/report-step.ts';

const hourMs = 60 * 60_000;

afterEach(() => void vi.useRealTimers());

test.each([
  ['forward', hourMs],
  ['back', -hourMs],
])('a clock that is set %s during a step changes nothing of how long it took', async (_, byMs) => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const events: StepEvent[] = [];
  const work = async () => {
    vi.setSystemTime(Date.now() + byMs);
    return 'done';
  };
  const onEvent = (event: StepEvent) => void events.push(event);
  expect(await reportStep('keys and certificates', onEvent, work)).toBe('done');
  expect(events).toEqual([
    { type: 'step-started', step: 'keys and certificates' },
    { type: 'step-finished', step: 'keys and certificates', elapsedMs: expect.any(Number) },
  ]);
  // Of the step itself: nothing, on whatever machine.
  const elapsedMs = events.map((event) => ('elapsedMs' in event ? event.elapsedMs : 0));
  expect(Math.min(...elapsedMs)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...elapsedMs)).toBeLessThan(hourMs / 2);
});

test('a step that fails says so, and why', async () => {
  const events: StepEvent[] = [];
  const work = () => Promise.reject(new Error('the disk is full'));
  const step = reportStep('components', (event) => void events.push(event), work);
  await expect(step).rejects.toThrow('the disk is full');
  expect(events.map(({ type }) => type)).toEqual(['step-started', 'step-failed']);
});
