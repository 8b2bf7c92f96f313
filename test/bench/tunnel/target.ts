// What both tunnels lead to, in a process of its own. The first line of a connection says what it does:
// s<bytes> sends so many, r<bytes> reads so many and answers with one byte, e echoes. Its parent may ask how many
// senders are stuck, and how many connections there are.
import { createServer, type Socket } from 'node:net';

const part = Buffer.alloc(64 * 1024, 7);
/** Whose receiver takes nothing, since when. */
const stuckSince = new Map<Socket, number>();
/** Long enough that no working tunnel makes a sender wait so long. */
const stuckAfterMs = 500;

const server = createServer({ noDelay: true }, (socket) => {
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\n');
    if (end === -1) return;
    socket.off('data', onData);
    serve(socket, head.toString('latin1', 0, end), head.subarray(end + 1));
  };
  socket.on('data', onData);
  socket.on('error', () => {});
  socket.once('close', () => stuckSince.delete(socket));
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const address = server.address();
  if (address !== null && typeof address !== 'string') process.send?.(address.port);
});
process.on('message', (question) => {
  if (question === 'stuck') process.send?.(countStuck());
  else server.getConnections((_error, count) => process.send?.(count));
});
process.once('disconnect', () => process.exit());

function countStuck(): number {
  const now = performance.now();
  return [...stuckSince.values()].filter((since) => now - since >= stuckAfterMs).length;
}

function serve(socket: Socket, request: string, first: Buffer): void {
  const bytes = Number(request.slice(1));
  if (request.startsWith('s')) send(socket, bytes);
  else if (request.startsWith('r')) receive(socket, bytes - first.length);
  else {
    if (first.length > 0) socket.write(first);
    socket.pipe(socket);
  }
}

function send(socket: Socket, bytes: number): void {
  let left = bytes;
  const onward = () => {
    stuckSince.delete(socket);
    while (left > 0) {
      const length = Math.min(left, part.length);
      left -= length;
      if (socket.write(length === part.length ? part : part.subarray(0, length))) continue;
      stuckSince.set(socket, performance.now());
      socket.once('drain', onward);
      return;
    }
  };
  onward();
  socket.resume();
}

function receive(socket: Socket, bytes: number): void {
  let left = bytes;
  const count = (received: number) => {
    left -= received;
    if (left <= 0) socket.write('d');
  };
  socket.on('data', (chunk: Buffer) => count(chunk.length));
  if (left <= 0) count(0);
}
