import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, expect, it } from 'vitest';
import { pipeBursts } from '../../../src/tunnel/pipe-bursts.ts';
import { startTarget } from './harness.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A socket, and what its other end receives. */
async function socketPair(): Promise<{ socket: Socket; received: () => Buffer }> {
  const parts: Buffer[] = [];
  const target = await startTarget((socket) => {
    socket.on('data', (part: Buffer) => parts.push(part)).once('end', () => socket.end());
  });
  const socket = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true });
  closers.push(() => target.close());
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  return { socket, received: () => Buffer.concat(parts) };
}

const source = () => new Readable({ read: () => {} });
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('large parts of one turn wait for its end and go together; a small one does not wait', async () => {
  const { socket } = await socketPair();
  const stream = source();
  pipeBursts(stream, socket);
  stream.push(Buffer.alloc(100, 1));
  await turn();
  expect({ written: socket.bytesWritten, corked: socket.writableCorked }).toEqual({
    written: 100,
    corked: 0,
  });
  const corked: number[] = [];
  stream.on('data', () => corked.push(socket.writableCorked));
  stream.push(Buffer.alloc(16_384, 2));
  stream.push(Buffer.alloc(12, 3));
  await new Promise((resolve) => process.nextTick(resolve));
  expect(corked).toEqual([1, 1]);
  await turn();
  await turn();
  expect({ queued: socket.writableLength, corked: socket.writableCorked }).toEqual({
    queued: 0,
    corked: 0,
  });
});

it('everything arrives in order, and the end after it', async () => {
  const { socket, received } = await socketPair();
  const stream = source();
  const expected: Buffer[] = [];
  pipeBursts(stream, socket);
  for (let index = 0; index < 500; index += 1) {
    const part = Buffer.alloc([12, 16_384, 40, 3_000][index % 4] ?? 0, index);
    expected.push(part);
    stream.push(part);
    if (index % 7 === 0) await turn();
  }
  stream.push(null);
  await once(socket.resume(), 'end');
  expect(received().equals(Buffer.concat(expected))).toBe(true);
});

it('leaves a source alone that is piped nowhere any more', async () => {
  const { socket } = await socketPair();
  const stream = source();
  pipeBursts(stream, socket);
  expect(stream.listenerCount('data')).toBe(2);
  stream.unpipe(socket);
  expect(stream.listenerCount('data')).toBe(0);
  stream.on('data', () => {});
  stream.push(Buffer.alloc(16_384));
  await turn();
  expect(socket.writableCorked).toBe(0);
});
