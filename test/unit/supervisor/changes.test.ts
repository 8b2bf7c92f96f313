import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { createChanges } from '../../../src/supervisor/changes.ts';

test('until resolves at the first notification at which its condition holds', async () => {
  const changes = createChanges();
  let value = 0;
  let isResolved = false;
  const waiting = changes.until(() => value === 2).then(() => (isResolved = true));
  for (value = 1; value <= 2; value += 1) {
    expect(isResolved).toBe(false);
    changes.notify();
    await Promise.resolve();
  }
  await waiting;
});

test('until asks at once, and asks no more when it is over', async () => {
  const changes = createChanges();
  let asked = 0;
  await changes.until(() => {
    asked += 1;
    return true;
  });
  changes.notify();
  expect(asked).toBe(1);
});

test('until rejects with the reason of its signal, before and while it waits', async () => {
  const changes = createChanges();
  const reason = new Error('enough');
  await expect(changes.until(() => true, AbortSignal.abort(reason))).rejects.toBe(reason);
  const abort = new AbortController();
  const waiting = changes.until(() => false, abort.signal);
  await changes.until(() => true, abort.signal);
  expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1);
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});

test('a condition may notify', async () => {
  const changes = createChanges();
  let rounds = 0;
  const first = changes.until(() => {
    rounds += 1;
    if (rounds === 2) changes.notify();
    return rounds >= 3;
  });
  const second = changes.until(() => rounds >= 3);
  changes.notify();
  await Promise.all([first, second]);
  expect(rounds).toBe(3);
});
