import type { Socket } from 'node:net';

/** What is sent everywhere: 1 MiB without a period, repeated. */
export const block: Buffer = makeBlock(1024 * 1024);

const deafMs = 1_000;

function makeBlock(bytes: number): Buffer {
  const words = new Uint32Array(bytes / 4);
  let state = 1;
  for (let index = 0; index < words.length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[index] = state;
  }
  return Buffer.from(words.buffer);
}

/** The part of the endless repetition that begins at `offset`. */
export function blockAt(offset: number, length: number): Buffer {
  const start = offset % block.length;
  return block.subarray(start, Math.min(block.length, start + length));
}

/** Bytes that nobody has sent, or in another place. */
export class CorruptTransfer extends Error {}

/** @throws CorruptTransfer at the first part that is not the repetition's. */
export function expectBlock(chunk: Buffer, offset: number): void {
  for (let done = 0; done < chunk.length; ) {
    const expected = blockAt(offset + done, chunk.length - done);
    if (!chunk.subarray(done, done + expected.length).equals(expected)) {
      throw new CorruptTransfer(`wrong bytes after ${offset + done}`);
    }
    done += expected.length;
  }
}

/**
 * A target that does what the first line says: `echo`, `send <bytes>`, `read` (answers with the number of bytes at
 * FIN), `first` (says bye and FIN, then reads), `reset`, or `deaf` (reads nothing for a second).
 */
export function serveSoakTarget(socket: Socket): void {
  let line = '';
  const onData = (chunk: Buffer) => {
    line += chunk.toString('latin1');
    const end = line.indexOf('\n');
    if (end === -1) return;
    socket.off('data', onData).off('end', onEnd).pause();
    socket.unshift(chunk.subarray(chunk.length - (line.length - end - 1)));
    obey(socket, line.slice(0, end));
  };
  // Its client left before it had asked for anything.
  const onEnd = () => socket.end();
  socket.on('data', onData).once('end', onEnd);
}

function obey(socket: Socket, line: string): void {
  const [verb, number = '0'] = line.split(' ');
  if (verb === 'echo') socket.pipe(socket);
  else if (verb === 'send') pour(socket, Number(number));
  else if (verb === 'read') countToEnd(socket);
  else if (verb === 'first') socket.resume().end('bye');
  else if (verb === 'reset') socket.resetAndDestroy();
  // Without reading it would never hear of the other side's end.
  else if (verb === 'deaf') setTimeout(() => countToEnd(socket), deafMs);
}

function countToEnd(socket: Socket): void {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.once('end', () => socket.end(`${bytes}`));
  socket.resume();
}

/** Sends that many bytes of the block and FIN; reads what comes. */
export function pour(socket: Socket, bytes: number): void {
  let sent = 0;
  const send = () => {
    while (sent < bytes && !socket.destroyed) {
      const part = blockAt(sent, Math.min(64 * 1024, bytes - sent));
      sent += part.length;
      if (socket.write(part)) continue;
      socket.once('drain', send);
      return;
    }
    socket.end();
  };
  socket.resume();
  send();
}
