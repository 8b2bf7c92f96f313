import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, expect, it } from 'vitest';
import { Carry } from '../../../src/tunnel/carry.ts';
import type { ByteStream } from '../../../src/tunnel/types.ts';
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

/** Stands for a session's stream, as far as it is read. */
const source = () => new Duplex({ allowHalfOpen: true, read: () => {} }) as ByteStream;
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('large parts of one turn wait for its end and go together; a small one does not wait', async () => {
  const { socket } = await socketPair();
  const stream = source();
  new Carry(stream, socket).start();
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
  new Carry(stream, socket).start();
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

it('waits for a sink that takes no more, and goes on when it does', async () => {
  const target = await startTarget((socket) => socket.pause());
  closers.push(() => target.close());
  const socket = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true });
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  const stream = source();
  new Carry(stream, socket).start();
  for (let sent = 0; !stream.isPaused(); sent += 1) {
    expect(sent).toBeLessThan(10_000);
    stream.push(Buffer.alloc(64 * 1024));
    await turn();
  }
  const [reader] = target.sockets;
  reader?.resume();
  await once(socket, 'drain');
  expect(stream.isPaused()).toBe(false);
});

it('begins once, also where the source has ended before', async () => {
  const { socket } = await socketPair();
  const stream = source();
  stream.push(null);
  await once(stream.resume(), 'end');
  let ends = 0;
  const carry = new Carry(stream, socket, { onData: () => {}, onEnd: () => (ends += 1) });
  carry.start();
  carry.start();
  expect({ ends, isWritable: socket.writable }).toEqual({ ends: 1, isWritable: false });
});

it('leaves a source and a sink alone once it is stopped', async () => {
  const { socket } = await socketPair();
  const stream = source();
  const carry = new Carry(stream, socket);
  carry.start();
  carry.stop();
  expect(stream.isPaused()).toBe(true);
  stream.resume();
  stream.push(Buffer.alloc(16_384));
  stream.push(null);
  await once(stream, 'end');
  expect({ written: socket.bytesWritten, isWritable: socket.writable }).toEqual({
    written: 0,
    isWritable: true,
  });
});
