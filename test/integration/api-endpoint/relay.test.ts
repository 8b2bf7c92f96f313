import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createRig, type Rig, type RunningEndpoint } from './harness.ts';

/** A plain TCP server behind the balancer: it passes whatever goes through. */
let rig: Rig;
let server: Server;
let endpoint: RunningEndpoint;
let accepted: PromiseWithResolvers<Socket>;
const open = new Set<Socket>();

beforeEach(async () => {
  rig = await createRig();
  accepted = Promise.withResolvers();
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    open.add(socket);
    accepted.resolve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = await rig.balance({
    servers: [`127.0.0.1:${(server.address() as AddressInfo).port}`],
    // Checks of what does not speak TLS would come between: also the one that confirms what the first has found.
    timings: { confirmIntervalMs: 600_000, doubtIntervalMs: 600_000 },
  });
  // The first connection is the check's.
  (await accepted.promise).destroy();
  accepted = Promise.withResolvers();
});

afterEach(async () => {
  for (const socket of open) socket.destroy();
  open.clear();
  await rig.cleanUp();
  await new Promise((resolve) => server.close(resolve));
});

/** Both ends of one connection through the balancer. */
async function pair(): Promise<{ client: Socket; target: Socket }> {
  const client = connect({ host: '127.0.0.1', port: endpoint.port(), allowHalfOpen: true });
  client.on('error', () => {});
  open.add(client);
  await once(client, 'connect');
  return { client, target: await accepted.promise };
}

async function readToEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const closeOf = (socket: Socket) =>
  new Promise<string>((resolve) => {
    let code = 'clean';
    socket.once('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? 'error';
    });
    socket.once('close', () => resolve(code));
  });

const untilEmpty = () =>
  waitFor(() => endpoint.status().activeConnections === 0, {
    subject: 'no connection to be left',
    timeoutMs: 20_000,
    intervalMs: 10,
  });

test('a client that has said everything still hears the answer', async () => {
  const { client, target } = await pair();
  client.end('question');
  const question = new Promise<string>((resolve) => target.once('data', (d) => resolve(String(d))));
  expect(await question).toBe('question');
  await once(target, 'end');
  target.end('answer');
  expect(await readToEnd(client)).toBe('answer');
  await untilEmpty();
});

test('a server that has said everything still hears the client', async () => {
  const { client, target } = await pair();
  target.end('greeting');
  client.once('end', () => client.end('late'));
  const heard = readToEnd(target);
  client.resume();
  expect(await heard).toBe('late');
  await untilEmpty();
});

test('a reset passes, either way', async () => {
  const first = await pair();
  const atTarget = closeOf(first.target);
  first.target.resume();
  first.client.resetAndDestroy();
  expect(await atTarget).toBe('ECONNRESET');
  accepted = Promise.withResolvers();
  const second = await pair();
  const atClient = closeOf(second.client);
  second.client.resume();
  second.target.resetAndDestroy();
  expect(await atClient).toBe('ECONNRESET');
  await untilEmpty();
});

test('a slow reader holds the sender back, and gets everything', async () => {
  const { client, target } = await pair();
  const sizeBytes = 64 * 1024 * 1024;
  const block = Buffer.alloc(1024 * 1024, 7);
  target.end(Buffer.concat(Array.from({ length: sizeBytes / block.length }, () => block)));
  let sent = -1;
  // Nobody reads: what the sender still holds stops shrinking.
  await waitFor(
    () => {
      const isStill = target.writableLength === sent;
      sent = target.writableLength;
      return isStill;
    },
    { subject: 'the sender to be held back', timeoutMs: 20_000, intervalMs: 200 },
  );
  // What left the sender is in the kernel's buffers, not in the balancer's.
  expect(sent).toBeGreaterThan(sizeBytes / 2);
  let received = 0;
  client.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(client, 'end');
  expect(received).toBe(sizeBytes);
  client.end();
  await untilEmpty();
});

test('hundreds at once, with nothing left afterwards', async () => {
  server.on('connection', (socket: Socket) => socket.pipe(socket));
  const answers = await Promise.all(
    Array.from({ length: 400 }, async (_, i) => {
      const client = connect({ host: '127.0.0.1', port: endpoint.port(), allowHalfOpen: true });
      client.end(`client ${i}`);
      return readToEnd(client);
    }),
  );
  expect(answers).toEqual(answers.map((_, i) => `client ${i}`));
  await untilEmpty();
  await waitFor(() => endpoint.status().servers[0]?.connections === 0, {
    subject: 'no connection of the server to be left',
    timeoutMs: 20_000,
  });
});
