import type { Socket } from 'node:net';
import { waitFor } from '../../../src/base/time.ts';
import { type Client, download, echo, upload } from './client.ts';
import { countConnections, countStuckSenders, type Forked } from './forked.ts';

/** What a measurement may use; all connections go through `client`, which ends them afterwards. */
export interface Context {
  readonly client: Client;
  readonly target: Forked;
}

export interface Measurement {
  /** What `--only` selects by. */
  readonly name: string;
  /** Ids of the metrics that it gives values for. */
  readonly metrics: readonly string[];
  /** Of the line between server and agent, milliseconds; 0 unless given. */
  readonly rttMs?: number;
  /** Values by the id of a metric. */
  readonly run: (context: Context) => Promise<Readonly<Record<string, number>>>;
}

const MB = 1e6;
const bulkBytes = 400 * MB;
/** Enough that the first seconds, in which windows grow, are a part of it and not all of it. */
const longLineBytes = 300 * MB;
export const longLineRttMs = 50;
const echoCount = 2_000;
const echoUnderBulkCount = 500;
const connectCount = 1_000;
const crowd = 1_000;
/** One lasts a fifth of a second, which says little: one after the other, each when the one before is gone. */
const crowdCount = 5;
/** More than all buffers on the way can hold. */
const stalledBytes = 1_000 * MB;
const stuckTimeoutMs = 60_000;
const goneTimeoutMs = 30_000;

export const measurements: readonly Measurement[] = [
  bulk({ name: 'down-1', down: 1, up: 0 }),
  bulk({ name: 'up-1', down: 0, up: 1 }),
  bulk({ name: 'both-8', down: 8, up: 8 }),
  bulk({ name: 'both-32', down: 32, up: 32 }),
  { ...bulk({ name: 'rtt-down', down: 1, up: 0, bytes: longLineBytes }), rttMs: longLineRttMs },
  { ...bulk({ name: 'rtt-up', down: 0, up: 1, bytes: longLineBytes }), rttMs: longLineRttMs },
  { name: 'connect', metrics: ['connect-p50', 'connect-p99'], run: measureConnects },
  { name: 'echo', metrics: ['echo-p50', 'echo-p99'], run: measureEcho },
  {
    name: 'echo-bulk',
    metrics: ['echo-bulk-p50', 'echo-bulk-p99'],
    run: measureEchoUnderBulk,
  },
  { name: 'stalled-1', metrics: ['stalled-1'], run: (context) => measureStalled(context, 1) },
  { name: 'stalled-100', metrics: ['stalled-100'], run: (context) => measureStalled(context, 100) },
  { name: 'crowd', metrics: ['crowd', 'crowd-first'], run: measureCrowds },
];

/** Compiles what both sides compile while they run. */
export const warmUp: Measurement = {
  name: 'warm-up',
  metrics: [],
  run: async ({ client }) => {
    await Promise.all([download(client, 100 * MB), upload(client, 100 * MB)]);
    for (let turn = 0; turn < 200; turn += 1) (await client.open('e\n')).destroy();
    return {};
  },
};

interface Bulk {
  readonly name: string;
  readonly down: number;
  readonly up: number;
  /** Of all streams together. */
  readonly bytes?: number;
}

function bulk({ name, down, up, bytes = bulkBytes }: Bulk): Measurement {
  const run = async ({ client }: Context) => {
    const each = Math.floor(bytes / (down + up));
    const startedAt = performance.now();
    await Promise.all([
      ...Array.from({ length: down }, () => download(client, each)),
      ...Array.from({ length: up }, () => upload(client, each)),
    ]);
    return { [name]: (each * (down + up)) / MB / secondsSince(startedAt) };
  };
  return { name, metrics: [name], run };
}

/** From nothing to the first byte of the target, one after the other. */
async function measureConnects({ client }: Context) {
  const times: number[] = [];
  for (let turn = 0; turn < connectCount; turn += 1) {
    const startedAt = performance.now();
    const socket = await client.open('e\nx');
    await firstByte(socket);
    times.push(performance.now() - startedAt);
    socket.destroy();
  }
  return { 'connect-p50': quantile(times, 0.5), 'connect-p99': quantile(times, 0.99) };
}

function firstByte(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('data', () => resolve());
    socket.once('close', () => reject(new Error('the stream ended early')));
  });
}

async function measureEcho({ client }: Context) {
  const times = await echo(await client.open('e\n'), echoCount);
  return { 'echo-p50': quantile(times, 0.5), 'echo-p99': quantile(times, 0.99) };
}

async function measureEchoUnderBulk({ client }: Context) {
  let isOver = false;
  const keepBusy = async (transfer: typeof download) => {
    while (!isOver) await transfer(client, 50 * MB);
  };
  const busy = Promise.all([keepBusy(download), keepBusy(upload)]);
  const times = await Promise.race([
    client.open('e\n').then((socket) => echo(socket, echoUnderBulkCount)),
    // It never ends by itself: only its failure counts.
    busy.then(() => Promise.reject(new Error('the bulk transfers ended'))),
  ]);
  isOver = true;
  await busy;
  return { 'echo-bulk-p50': quantile(times, 0.5), 'echo-bulk-p99': quantile(times, 0.99) };
}

/** Streams that are asked for a lot and read by nobody; what does it cost the others? */
async function measureStalled({ client, target }: Context, count: number) {
  const before = quantile(await echo(await client.open('e\n'), echoCount), 0.99);
  await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = await client.open(`s${stalledBytes}\n`);
      socket.pause();
    }),
  );
  let stuck = 0;
  await waitFor(
    async () => {
      stuck = await countStuckSenders(target);
      return stuck >= count;
    },
    {
      subject: 'senders that nobody reads from',
      timeoutMs: stuckTimeoutMs,
      describe: () => `${stuck} of ${count}`,
    },
  );
  const after = quantile(await echo(await client.open('e\n'), echoCount), 0.99);
  return { [`stalled-${count}`]: Math.max(0, after - before) };
}

async function measureCrowds({ client, target }: Context) {
  const times: number[] = [];
  for (let turn = 0; turn < crowdCount; turn += 1) {
    times.push(await measureCrowd(client));
    await waitFor(async () => (await countConnections(target)) === 0, {
      subject: 'a crowd to be gone from the target',
      timeoutMs: goneTimeoutMs,
    });
  }
  return { crowd: quantile(times, 0.5), 'crowd-first': times[0] ?? Number.NaN };
}

/** All at once: connect, CONNECT, one echo; all stay until the last has its answer. Seconds. */
async function measureCrowd(client: Client): Promise<number> {
  const startedAt = performance.now();
  const outcomes = await Promise.allSettled(
    Array.from({ length: crowd }, async () => {
      const socket = await client.open('e\n');
      await echo(socket, 1);
      return socket;
    }),
  );
  const seconds = secondsSince(startedAt);
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
  if (failed.length > 0) {
    throw new Error(`${failed.length} of ${crowd} streams failed: ${String(failed[0]?.reason)}`);
  }
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.destroy();
  return seconds;
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1_000;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
