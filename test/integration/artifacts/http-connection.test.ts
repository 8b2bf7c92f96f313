import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createHttpConnection } from '../../../src/artifacts/http-connection.ts';
import { listenOnLoopback } from '../../support/loopback-server.ts';
import { neverAborted } from './bundle-fixture.ts';

test('what came before a cut is handed over, however slow its taker is', async () => {
  const rig = await serve((response) => response.writeHead(200, { 'content-length': 1_000_000 }));
  const { response, socket, answer } = await rig.get();
  const taken: number[] = [];
  const slow = Promise.withResolvers<void>();
  const closed = once(socket, 'close');
  const received = response.receive((chunk) => {
    taken.push(chunk.length);
    if (taken.length > 1) return undefined;
    // The first is being written, slowly: the rest and the end of the connection come meanwhile.
    answer.write(Buffer.alloc(20_000), () => answer.destroy());
    return slow.promise;
  });
  answer.write(Buffer.alloc(10_000));
  await closed;
  expect(taken).toHaveLength(1);
  slow.resolve();
  await expect(received).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(taken.reduce((sum, bytes) => sum + bytes)).toBe(30_000);
});

test('one that fails is given nothing more', async () => {
  const rig = await serve((response) => response.writeHead(200, { 'content-length': 1_000_000 }));
  const { response, answer } = await rig.get();
  const taken: number[] = [];
  const received = response.receive((chunk) => {
    taken.push(chunk.length);
    answer.write(Buffer.alloc(20_000), () => answer.destroy());
    throw new Error('the disk is full');
  });
  answer.write(Buffer.alloc(10_000));
  await expect(received).rejects.toThrow('the disk is full');
  expect(taken).toHaveLength(1);
});

/** A server that begins an answer and leaves the rest to the test. */
async function serve(begin: (response: ServerResponse) => void) {
  const answered = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => {
    begin(response);
    response.flushHeaders();
    answered.resolve(response);
  });
  const { port, close } = await listenOnLoopback(server);
  onTestFinished(close);
  const dialed = Promise.withResolvers<Socket>();
  const connection = createHttpConnection({
    ...{ host: 'test', headers: {}, maxSockets: 1, stallMs: 30_000, onReceived: () => {} },
    openSocket: async () => {
      const socket = connect({ host: '127.0.0.1', port });
      dialed.resolve(socket);
      return socket;
    },
  });
  onTestFinished(() => connection.close());
  const get = async () => ({
    response: await connection.get('/', { headers: {}, signal: neverAborted }),
    socket: await dialed.promise,
    answer: await answered.promise,
  });
  return { get };
}
