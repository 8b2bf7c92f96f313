import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { startDelayLine } from '../../bench/tunnel/delay-line.ts';
import { startTarget } from '../tunnel/harness.ts';

const echo = (socket: Socket) => socket.pipe(socket);

/** A target, and the port of a line to it. */
async function startLine(rttMs: number, serve: (socket: Socket) => void): Promise<number> {
  const target = await startTarget(serve);
  onTestFinished(() => target.close());
  const line = await startDelayLine(target.port, rttMs);
  onTestFinished(line.stop);
  return line.port;
}

test('a round trip takes the time of the line, and an end passes as an end', async () => {
  const port = await startLine(80, echo);
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const startedAt = performance.now();
  socket.end('hello');
  expect((await buffer(socket)).toString()).toBe('hello');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(80);
});

test('what is carried arrives whole and in order', async () => {
  const port = await startLine(10, echo);
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const sent = Buffer.alloc(5_000_000);
  for (let offset = 0; offset < sent.length; offset += 4) sent.writeUInt32BE(offset, offset);
  socket.end(sent);
  expect((await buffer(socket)).equals(sent)).toBe(true);
});

test('a connection that is broken off breaks off at the other end', async () => {
  const { promise: accepted, resolve } = Promise.withResolvers<void>();
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const port = await startLine(10, (socket) => {
    socket.once('close', () => onClosed());
    resolve();
  });
  const socket = connect({ host: '127.0.0.1', port });
  await accepted;
  socket.resetAndDestroy();
  await expect(closed).resolves.toBeUndefined();
});
