import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Where a tunnel's front is, and what it must be asked for to reach the target. */
export interface Front {
  readonly address: { readonly path: string } | { readonly host: string; readonly port: number };
  /** `host:port` of the CONNECT request; left out: there is no tunnel, this is the target itself. */
  readonly authority?: string;
}

/** The connections of one measurement: one CONNECT each, as kube-apiserver makes them. */
export interface Client {
  /** An established stream to the target that has been told what to do. */
  open(request: string): Promise<Socket>;
  /** Changes whenever a byte came or went. */
  progress(): number;
  /** Destroys what is open; whoever waits for one of them gets `reason`. */
  close(reason: Error): void;
}

const part = Buffer.alloc(64 * 1024, 7);
const established = Buffer.from('HTTP/1.1 200');
const headerEnd = Buffer.from('\r\n\r\n');

export function createClient(front: Front): Client {
  const sockets = new Set<Socket>();
  let closedProgress = 0;
  return {
    open: async (request) => {
      const socket = connect(front.address);
      sockets.add(socket);
      // Whoever waits hears of it by `once`; nobody else cares.
      socket.on('error', () => {});
      socket.once('close', () => {
        sockets.delete(socket);
        closedProgress += progressOf(socket) + 1;
      });
      await once(socket, 'connect');
      if (front.authority !== undefined) {
        socket.write(`CONNECT ${front.authority} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
        await readEstablished(socket);
      }
      socket.write(request);
      return socket;
    },
    progress: () =>
      [...sockets].reduce((sum, socket) => sum + progressOf(socket), sockets.size + closedProgress),
    close: (reason) => {
      for (const socket of sockets) socket.destroy(reason);
    },
  };
}

function progressOf(socket: Socket): number {
  return socket.bytesRead + socket.bytesWritten - socket.writableLength;
}

async function readEstablished(socket: Socket): Promise<void> {
  let received = Buffer.alloc(0);
  while (!received.includes(headerEnd))
    received = Buffer.concat([received, await nextChunk(socket)]);
  if (received.subarray(0, established.length).equals(established)) return;
  socket.destroy();
  throw new Error(received.toString('latin1').split('\r\n', 1)[0]);
}

/**
 * Nothing may come between two calls: the target speaks only when asked.
 * @throws Error when the stream ends or breaks first.
 */
async function nextChunk(socket: Socket): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const onEnd = () => reject(new Error('the stream ended early'));
  socket.once('data', resolve).once('end', onEnd).once('error', reject);
  try {
    return await promise;
  } finally {
    socket.off('data', resolve).off('end', onEnd).off('error', reject);
  }
}

export async function download(client: Client, bytes: number): Promise<void> {
  const socket = await client.open(`s${bytes}\n`);
  let left = bytes;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left <= 0) resolve();
  });
  rejectWhenOver(socket, reject);
  await promise;
  socket.destroy();
}

export async function upload(client: Client, bytes: number): Promise<void> {
  const socket = await client.open(`r${bytes}\n`);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  rejectWhenOver(socket, reject);
  socket.once('data', () => resolve());
  let left = bytes;
  const send = () => {
    while (left > 0) {
      const length = Math.min(left, part.length);
      left -= length;
      if (socket.write(length === part.length ? part : part.subarray(0, length))) continue;
      socket.once('drain', send);
      return;
    }
  };
  send();
  await promise;
  socket.destroy();
}

function rejectWhenOver(socket: Socket, reject: (error: Error) => void): void {
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('the stream ended early')));
}

/** Round trips of 64 bytes, one after the other; milliseconds. */
export async function echo(socket: Socket, count: number): Promise<number[]> {
  const payload = Buffer.alloc(64, 1);
  const times: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const startedAt = performance.now();
    socket.write(payload);
    for (let got = 0; got < payload.length; ) got += (await nextChunk(socket)).length;
    times.push(performance.now() - startedAt);
  }
  return times;
}
