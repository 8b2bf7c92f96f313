import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { startDelayLine } from '../../bench/tunnel/delay-line.ts';

test('a round trip takes the time of the line, and an end passes as an end', async () => {
  const port = await startEcho();
  const line = await startDelayLine(port, 80);
  onTestFinished(line.stop);
  const socket = connect({ host: '127.0.0.1', port: line.port, allowHalfOpen: true });
  const startedAt = performance.now();
  socket.end('hello');
  expect((await buffer(socket)).toString()).toBe('hello');
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(80);
});

test('what is carried arrives whole and in order', async () => {
  const port = await startEcho();
  const line = await startDelayLine(port, 10);
  onTestFinished(line.stop);
  const socket = connect({ host: '127.0.0.1', port: line.port, allowHalfOpen: true });
  const sent = Buffer.alloc(5_000_000);
  for (let offset = 0; offset < sent.length; offset += 4) sent.writeUInt32BE(offset, offset);
  socket.end(sent);
  expect((await buffer(socket)).equals(sent)).toBe(true);
});

test('a connection that is broken off breaks off at the other end', async () => {
  const { promise: accepted, resolve } = Promise.withResolvers<void>();
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on('error', () => {}).once('close', () => onClosed());
    resolve();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const line = await startDelayLine((server.address() as AddressInfo).port, 10);
  onTestFinished(line.stop);
  const socket = connect({ host: '127.0.0.1', port: line.port });
  await accepted;
  socket.resetAndDestroy();
  await expect(closed).resolves.toBeUndefined();
});

async function startEcho(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
