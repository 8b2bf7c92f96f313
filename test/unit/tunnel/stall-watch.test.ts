import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { createStallWatch } from '../../../src/tunnel/stall-watch.ts';
import type { YamuxStream } from '../../../src/tunnel/yamux/types.ts';

/** As much of a stream as the watch looks at. */
class FakeStream extends EventEmitter {
  bytesRead = 0;
  unreadBytes = 0;
  receive(bytes: number): void {
    this.bytesRead += bytes;
    this.unreadBytes += bytes;
  }
  read(bytes: number): void {
    this.unreadBytes -= bytes;
  }
}

function watchWith(limitBytes: number) {
  const clock = { ms: 0 };
  const closed: FakeStream[] = [];
  const watch = createStallWatch({
    limitBytes,
    stalledAfterMs: 300_000,
    monotonicMs: () => clock.ms,
    onStalled: (stream) => {
      closed.push(stream as unknown as FakeStream);
      stream.emit('close');
    },
  });
  const add = (unread: number) => {
    const stream = new FakeStream();
    stream.receive(unread);
    watch.add(stream as unknown as YamuxStream);
    return stream;
  };
  const at = (ms: number) => {
    clock.ms = ms;
    watch.sweep();
    return closed.length;
  };
  return { watch, closed, add, at };
}

it('closes the longest stalled until the rest is within the limit', () => {
  const { watch, closed, add, at } = watchWith(250);
  const first = add(100);
  at(0);
  const second = add(100);
  at(1_000);
  const third = add(100);
  at(2_000);
  expect(at(299_000)).toBe(0);
  expect(at(301_500)).toBe(1);
  expect(closed).toEqual([first]);
  expect(at(900_000)).toBe(1);
  second.receive(100);
  expect(at(900_001)).toBe(2);
  expect(closed).toEqual([first, second]);
  expect(third.unreadBytes).toBe(100);
  expect(watch.size).toBe(1);
  watch.stop();
});

it('leaves those alone that make progress, or have nothing to read', () => {
  const { watch, closed, add, at } = watchWith(50);
  const slow = add(100);
  const idle = add(0);
  for (let ms = 0; ms < 1_000_000; ms += 250_000) {
    slow.read(10);
    slow.receive(10);
    at(ms);
  }
  expect(closed).toEqual([]);
  expect(at(1_500_000)).toBe(1);
  expect(closed).toEqual([slow]);
  expect(idle.unreadBytes).toBe(0);
  watch.stop();
});

it('waits seconds only when twice the limit is used', () => {
  const { watch, add, at } = watchWith(100);
  add(150);
  at(0);
  add(100);
  expect(at(9_000)).toBe(0);
  expect(at(11_000)).toBe(1);
  watch.stop();
});

it('knows how many nobody has read for 10 s, whatever the limit', () => {
  const { watch, add, at } = watchWith(1_000_000);
  const stalled = add(100);
  const slow = add(100);
  add(0);
  at(0);
  slow.read(10);
  at(9_000);
  expect(watch.stalled()).toBe(0);
  at(10_000);
  expect(watch.stalled()).toBe(1);
  stalled.read(1);
  expect(watch.stalled()).toBe(0);
  watch.stop();
});
