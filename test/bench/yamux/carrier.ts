// Throughput and latency of the carrier alone: client → Unix socket → session over TLS on loopback → TCP target, as
// four processes' worth of work in three (client and target share one). Prints one JSON line for each measurement.
//
//   scripts/node test/bench/yamux/carrier.ts [rounds]
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const part = Buffer.alloc(64 * 1024, 7);
const bulkBytes = 400 * 1024 * 1024;

/** A target that does what the first byte says: s = sends so many bytes, r = reads, e = echoes. */
function serveTarget(socket: Socket): void {
  socket.on('error', () => {});
  socket.setNoDelay(true);
  socket.once('data', (first: Buffer) => {
    const request = first.toString('latin1', 0, 1);
    if (request === 's') pour(socket, Number(first.toString('latin1', 1)));
    else if (request === 'e') {
      if (first.length > 1) socket.write(first.subarray(1));
      socket.pipe(socket);
    } else {
      socket.resume();
      socket.once('end', () => socket.end('done'));
    }
  });
}

function pour(socket: Socket, bytes: number): void {
  let left = bytes;
  const send = () => {
    while (left > 0) {
      const length = Math.min(left, part.length);
      left -= length;
      if (!socket.write(length === part.length ? part : part.subarray(0, length))) {
        socket.once('drain', send);
        return;
      }
    }
    socket.end();
  };
  send();
}

async function open(socketPath: string): Promise<Socket> {
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

async function download(socketPath: string, bytes: number): Promise<void> {
  const socket = await open(socketPath);
  socket.write(`s${bytes}`);
  let got = 0;
  socket.on('data', (chunk: Buffer) => {
    got += chunk.length;
  });
  await once(socket, 'end');
  socket.end();
  if (got !== bytes) throw new Error(`got ${got} of ${bytes} bytes`);
}

async function upload(socketPath: string, bytes: number): Promise<void> {
  const socket = await open(socketPath);
  socket.write('r');
  socket.resume();
  pour(socket, bytes);
  await once(socket, 'end');
}

async function throughput(down: number, up: number, socketPath: string): Promise<number> {
  const each = Math.floor(bulkBytes / (down + up));
  const startedAt = performance.now();
  await Promise.all([
    ...Array.from({ length: down }, () => download(socketPath, each)),
    ...Array.from({ length: up }, () => upload(socketPath, each)),
  ]);
  return Math.round((each * (down + up)) / 1e3 / (performance.now() - startedAt));
}

async function echoes(socketPath: string, count: number): Promise<number[]> {
  const socket = await open(socketPath);
  socket.write('e');
  const times: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const startedAt = performance.now();
    socket.write(Buffer.alloc(64));
    let got = 0;
    while (got < 64) got += ((await once(socket, 'data')) as [Buffer])[0].length;
    times.push(performance.now() - startedAt);
  }
  socket.destroy();
  return times;
}

async function connects(socketPath: string, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const startedAt = performance.now();
    const socket = await open(socketPath);
    socket.write('ex');
    await once(socket, 'data');
    times.push(performance.now() - startedAt);
    socket.destroy();
  }
  return times;
}

async function echoesUnderBulk(socketPath: string): Promise<number[]> {
  let isOver = false;
  const bulk = (async () => {
    while (!isOver) await Promise.all([download(socketPath, 5e7), upload(socketPath, 5e7)]);
  })();
  const times = await echoes(socketPath, 1000);
  isOver = true;
  await bulk;
  return times;
}

function percentiles(times: number[]): string {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)]?.toFixed(3);
  return `p50 ${at(0.5)} p99 ${at(0.99)} ms`;
}

async function startProcess(
  file: string,
  args: readonly string[],
): Promise<[ChildProcess, unknown]> {
  const child = fork(path.join(import.meta.dirname, file), [...args]);
  const [message] = await once(child, 'message');
  return [child, message];
}

/** User and system time of both ends; on a busy machine this says more than the clock. */
function cpuSeconds(): number[] {
  return [controller, agent].map(({ pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  });
}

const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-carrier-'));
const socketPath = path.join(directory, 'tunnel.sock');
const target = createServer({ allowHalfOpen: true }, serveTarget);
target.listen(0, '127.0.0.1');
await once(target, 'listening');
const address = target.address();
if (address === null || typeof address === 'string') throw new Error('no port');
const [controller, port] = await startProcess('carrier-end.ts', ['controller', socketPath]);
const [agent] = await startProcess('carrier-end.ts', ['agent', String(port), String(address.port)]);
const measurements: Record<string, () => Promise<number | string>> = {
  'down 1': () => throughput(1, 0, socketPath),
  'up 1': () => throughput(0, 1, socketPath),
  'down 8': () => throughput(8, 0, socketPath),
  '8+8': () => throughput(8, 8, socketPath),
  '32+32': () => throughput(32, 32, socketPath),
  echo: async () => percentiles(await echoes(socketPath, 3000)),
  connect: async () => percentiles(await connects(socketPath, 1000)),
  'echo under bulk': async () => percentiles(await echoesUnderBulk(socketPath)),
};
const only = process.argv[3];
for (let round = 0; round < Number(process.argv[2] ?? 1); round += 1) {
  for (const [name, measure] of Object.entries(measurements)) {
    if (only !== undefined && !name.includes(only)) continue;
    const before = cpuSeconds();
    const value = await measure();
    const cpu = cpuSeconds().map((seconds, index) => seconds - (before[index] ?? 0));
    const [controllerCpu, agentCpu] = cpu.map((seconds) => Number(seconds.toFixed(2)));
    console.log(JSON.stringify({ round, name, value, controllerCpu, agentCpu }));
  }
}
for (const child of [controller, agent]) child.kill();
target.close();
await rm(directory, { recursive: true, force: true });
process.exit();
