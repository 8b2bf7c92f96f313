import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReceiveQueue } from '../../../../src/tunnel/yamux/receive-queue.ts';

test('gives back what it got, in order, whatever the sizes and turns', () => {
  const step = fc.oneof(
    fc.integer({ min: 1, max: 5000 }).map((length) => ({ length })),
    fc.constant({ length: 0 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new ReceiveQueue();
      const sent: Buffer[] = [];
      const got: Buffer[] = [];
      let next = 0;
      for (const { length } of steps) {
        if (length === 0) {
          const part = queue.take();
          if (part !== undefined) got.push(Buffer.from(part));
          continue;
        }
        const chunk = Buffer.alloc(length + 12, next);
        next += 1;
        sent.push(chunk.subarray(12));
        queue.add(chunk.subarray(12));
      }
      for (let part = queue.take(); part !== undefined; part = queue.take()) got.push(part);
      expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
      expect(queue.bytes).toBe(0);
    }),
  );
});

test('a part that was handed out never changes any more', () => {
  const queue = new ReceiveQueue();
  queue.add(Buffer.from('one'));
  const first = queue.take();
  queue.add(Buffer.from('two'));
  queue.add(Buffer.from('three'));
  expect(first?.toString()).toBe('one');
  expect(queue.take()?.toString()).toBe('twothree');
});

test('a thousand single bytes of a thousand chunks cost a block, not the chunks', () => {
  const queue = new ReceiveQueue();
  for (let at = 0; at < 1000; at += 1) {
    queue.add(Buffer.alloc(16 * 1024, at).subarray(100, 101));
  }
  expect(queue.bytes).toBe(1000);
  const part = queue.take();
  expect(part?.length).toBe(1000);
  expect(part?.buffer.byteLength).toBe(4 * 1024);
  expect(queue.take()).toBeUndefined();
});

test('a large part is kept as it is, and copied when most of its memory belongs to others', () => {
  const queue = new ReceiveQueue();
  const chunk = Buffer.alloc(16 * 1024);
  queue.add(chunk.subarray(12));
  queue.add(chunk.subarray(0, 3000));
  expect(queue.take()?.buffer).toBe(chunk.buffer);
  expect(queue.take()?.buffer.byteLength).toBe(3000);
});

test('forgets everything when it is cleared', () => {
  const queue = new ReceiveQueue();
  queue.add(Buffer.from('x'));
  queue.clear();
  expect(queue.bytes).toBe(0);
  expect(queue.take()).toBeUndefined();
});
