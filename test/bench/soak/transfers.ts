import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connectTo, established } from '../../integration/tunnel/harness.ts';
import type { Random } from './random.ts';
import { expectBlock, pour } from './target.ts';

/** What one transfer needs. */
export interface TransferContext {
  readonly socketPath: string;
  readonly nodeName: string;
  /** A pod of it. */
  readonly host: string;
  readonly port: number;
  /** Where nobody listens. */
  readonly closedPort: number;
  readonly random: Random;
}

/** Opens a stream, does something with it, and leaves nothing. Rejects when it went otherwise than it was meant to. */
type Transfer = (context: TransferContext, open: Open) => Promise<void>;
/** A connection after its 200; what was refused rejects with the status line. */
type Open = (line: string) => Promise<Socket>;

/** Longer than any answer, and any detection of a dead line: so long no byte may move either way. */
const hungAfterMs = 60_000;
const lookEveryMs = 1_000;
const maxBytes = 4 * 1024 * 1024;

/** @throws HungTransfer when nothing has moved for a minute; Error when it went wrong. */
export async function runTransfer(name: TransferName, context: TransferContext): Promise<void> {
  const sockets: Socket[] = [];
  const open: Open = (line) => openStream(context, { line, sockets });
  const hung = Promise.withResolvers<never>();
  let last = { moved: 0, atMs: performance.now() };
  const timer = setInterval(() => {
    const moved = sockets.reduce((sum, socket) => sum + movedBytes(socket), 0);
    const now = performance.now();
    if (moved !== last.moved) last = { moved, atMs: now };
    else if (now - last.atMs > hungAfterMs) hung.reject(new HungTransfer(describeHung(sockets)));
  }, lookEveryMs);
  try {
    await Promise.race([transfers[name](context, open), hung.promise]);
  } finally {
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  }
}

function movedBytes({ bytesRead, bytesWritten, writableLength }: Socket): number {
  return bytesRead + bytesWritten - writableLength;
}

function describeHung(sockets: readonly Socket[]): string {
  const states = sockets.map((socket) => {
    const { bytesRead, bytesWritten, readableLength, writableLength, destroyed } = socket;
    return { bytesRead, bytesWritten, readableLength, writableLength, destroyed };
  });
  return `it hangs: ${JSON.stringify(states)}`;
}

/** Whatever happens to a line, this may not. */
export class HungTransfer extends Error {}

const transfers = {
  echo: async ({ random }, open) => {
    const bytes = random.integer(1, 256 * 1024);
    const socket = await open('echo');
    const received = readBlock(socket);
    pour(socket, bytes);
    expectCount(await received, bytes);
  },
  'bulk down': async ({ random }, open) => {
    const bytes = random.integer(1, maxBytes);
    const socket = await open(`send ${bytes}`);
    expectCount(await readBlock(socket), bytes);
    socket.end();
  },
  'bulk up': async ({ random }, open) => {
    const bytes = random.integer(1, maxBytes);
    const socket = await open('read');
    const answer = readText(socket);
    pour(socket, bytes);
    expectText(await answer, `${bytes}`);
  },
  'bulk both ways': async ({ random }, open) => {
    const bytes = random.integer(1, maxBytes);
    const socket = await open('echo');
    const received = readBlock(socket);
    pour(socket, bytes);
    expectCount(await received, bytes);
  },
  'target ends first': async ({ random }, open) => {
    const socket = await open('first');
    expectText(await readText(socket), 'bye');
    pour(socket, random.integer(1, 64 * 1024));
    await ended(socket, 'close');
  },
  'target resets': async (_context, open) => {
    const socket = await open('reset');
    await ended(socket, 'end');
  },
  'client aborts in the middle': async ({ random }, open) => {
    const socket = await open(`send ${maxBytes}`);
    await readAtLeast(socket, random.integer(1, maxBytes / 2));
  },
  'client aborts an upload': async ({ random }, open) => {
    const socket = await open(random.pick(['deaf', 'read', 'echo']));
    socket.write(Buffer.alloc(random.integer(1, maxBytes)));
    await pause(random.integer(0, 300));
  },
  'client leaves during the dial': async ({ random, socketPath, host, port }) => {
    const socket = connect({ path: socketPath });
    socket.on('error', () => {});
    await once(socket, 'connect');
    const header = connectTo(host, port);
    socket.write(header.slice(0, random.integer(1, header.length + 1)));
    await pause(random.integer(0, 5));
    socket.destroy();
  },
  'reader stalls': async ({ random }, open) => {
    const socket = await open(`send ${maxBytes}`);
    socket.pause();
    await pause(random.integer(100, 2_000));
    expectCount(await readBlock(socket), maxBytes);
    socket.end();
  },
  refused: async ({ closedPort, socketPath, host }) => {
    await expectRefusal(socketPath, connectTo(host, closedPort), 'HTTP/1.1 502 ');
  },
  forbidden: async ({ socketPath, nodeName }) => {
    await expectRefusal(socketPath, connectTo(nodeName, 22), 'HTTP/1.1 403 ');
  },
  garbage: async ({ socketPath }) => {
    await expectRefusal(socketPath, 'GET / HTTP/1.1\r\n\r\n', 'HTTP/1.1 405 ');
  },
} satisfies Record<string, Transfer>;

export type TransferName = keyof typeof transfers;
export const transferNames = Object.keys(transfers) as [TransferName, ...TransferName[]];

async function openStream(
  context: TransferContext,
  { line, sockets }: { readonly line: string; readonly sockets: Socket[] },
): Promise<Socket> {
  const socket = connect({ path: context.socketPath, allowHalfOpen: true });
  sockets.push(socket);
  socket.on('error', () => {});
  socket.write(connectTo(context.host, context.port));
  const answer = await readAtLeast(socket, established.length);
  if (answer !== established) throw new Error(`it was answered with ${answer.split('\r\n')[0]}`);
  socket.write(`${line}\n`);
  return socket;
}

async function expectRefusal(socketPath: string, request: string, status: string): Promise<void> {
  const socket = connect({ path: socketPath });
  socket.on('error', () => {});
  socket.write(request);
  const answer = await readText(socket);
  socket.destroy();
  if (!answer.startsWith(status))
    throw new Error(`it was answered with ${answer.split('\r\n')[0]}`);
}

/** Reads to FIN and holds every byte against the block. Resolves with their number. */
async function readBlock(socket: Socket): Promise<number> {
  let bytes = 0;
  await readToFin(socket, (chunk) => {
    expectBlock(chunk, bytes);
    bytes += chunk.length;
  });
  return bytes;
}

async function readText(socket: Socket): Promise<string> {
  let text = '';
  await readToFin(socket, (chunk) => {
    text += chunk.toString('latin1');
  });
  return text;
}

function readToFin(socket: Socket, onData: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // It may have broken off while nobody read.
    if (socket.destroyed || socket.readableEnded) {
      reject(new Error('it broke off'));
      return;
    }
    socket.on('data', (chunk: Buffer) => {
      try {
        onData(chunk);
      } catch (error) {
        reject(error);
      }
    });
    socket.once('end', resolve);
    socket.once('close', () => reject(new Error('it broke off')));
    socket.resume();
  });
}

/** Reads until there is so much, or FIN; the rest stays in the socket. */
async function readAtLeast(socket: Socket, bytes: number): Promise<string> {
  let text = '';
  while (text.length < bytes) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) text += chunk.toString('latin1');
    else if (socket.readableEnded) break;
    else if (socket.destroyed) throw new Error('it broke off');
    else await nextReadable(socket);
  }
  return text;
}

function nextReadable(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('readable', done).off('end', done).off('close', done);
      resolve();
    };
    socket.on('readable', done).on('end', done).on('close', done);
  });
}

/** A Unix socket knows no reset: a stream that broke off ends as well. */
async function ended(socket: Socket, event: 'end' | 'close'): Promise<void> {
  socket.resume();
  if (socket.destroyed) return;
  await Promise.race([once(socket, event), once(socket, 'close')]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function expectCount(bytes: number, expected: number): void {
  if (bytes !== expected) throw new Error(`${bytes} of ${expected} bytes came`);
}

function expectText(text: string, expected: string): void {
  if (text !== expected) throw new Error(`"${text.slice(0, 80)}" came instead of "${expected}"`);
}
