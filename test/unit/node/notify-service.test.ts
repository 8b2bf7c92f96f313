import { describe, expect, it } from 'vitest';
import { messagesFor, watchdogIntervalMs } from '../../../src/node/notify-service.ts';

describe('messagesFor', () => {
  it('says READY when the components have been ready, and when the time for that is over', () => {
    expect(messagesFor({ type: 'components-ready', nodeName: 'n', elapsedMs: 1 })).toContain(
      'READY=1',
    );
    expect(messagesFor({ type: 'not-ready', messages: ['etcd: x'], elapsedMs: 1 })).toEqual([
      'READY=1',
      'STATUS=not Ready: etcd: x',
    ]);
    expect(messagesFor({ type: 'step-started', step: 'components' })).toEqual([
      'STATUS=components',
    ]);
    expect(messagesFor({ type: 'stopping', reason: 'SIGTERM' })).toContain('STOPPING=1');
  });

  it('says nothing of what happens to one component', () => {
    expect(messagesFor({ type: 'component-ready', name: 'etcd', elapsedMs: 1 })).toEqual([]);
  });
});

describe('watchdogIntervalMs', () => {
  it.each([
    [{ WATCHDOG_USEC: '120000000' }, 40_000],
    [{ WATCHDOG_USEC: '0' }, undefined],
    [{ WATCHDOG_USEC: 'soon' }, undefined],
    [{}, undefined],
  ])('of %j is %s', (env, interval) => {
    expect(watchdogIntervalMs(env)).toBe(interval);
  });
});
