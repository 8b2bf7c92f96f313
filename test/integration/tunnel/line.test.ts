import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createWindowBudget } from '../../../src/tunnel/window-budget.ts';
import { quickest } from '../../support/quickest.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { type Client, connectTo, established } from './harness.ts';

const rig = tunnelRig();
const pod = '10.244.1.5';

/** A target that sends for as long as somebody reads. */
function flood(socket: Socket): void {
  const chunk = Buffer.alloc(64 * 1024);
  const pump = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', pump);
  pump();
}

function secondLargest(times: readonly number[]): number {
  return times.toSorted((a, b) => b - a)[1] ?? 0;
}

async function timeEcho(client: Client): Promise<number> {
  const before = client.received.length;
  const startedAt = performance.now();
  client.socket.write('ping');
  await until('the echo', () => client.received.length >= before + 4);
  return performance.now() - startedAt;
}

describe('a line', () => {
  it('case 3b: carries bulk in both directions on many streams through small buffers', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    const thin = await rig.proxy({
      target: controller.port,
      delayMs: 5,
      maxInFlightBytes: 16 * 1024,
    });
    await rig.agent('edge-1', [thin.address]);
    await untilConnected(controller, 'edge-1');
    const block = randomBytes(512 * 1024);
    const expected = createHash('sha256').update(block).digest('hex');
    const digests = await Promise.all(
      Array.from({ length: 16 }, async () => {
        const client = await rig.open(controller.socketPath, connectTo(pod, echo.port));
        await until('200', () => text(client) === established, { timeoutMs: 150_000 });
        client.socket.end(block);
        await until('the end', () => client.hasEnded, {
          timeoutMs: 150_000,
          describe: () => `${client.received.length} bytes`,
        });
        return createHash('sha256')
          .update(client.received.subarray(established.length))
          .digest('hex');
      }),
    );
    expect(digests).toEqual(digests.map(() => expected));
    await untilNoStream(controller);
  });

  it('case 5: with stalled readers and a target that does not read keeps echoes quick', async () => {
    const flooding = await rig.target(flood);
    const deaf = await rig.target((socket) => socket.pause());
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    const { agent } = await rig.agent('edge-1', [controller.address]);
    await untilConnected(controller, 'edge-1');
    const client = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
    await until('the echo', () => text(client) === `${established}hi`);
    for (let i = 0; i < 20; i += 1) {
      const reader = await rig.open(controller.socketPath, connectTo(pod, flooding.port));
      await until('200', () => text(reader) === established);
      reader.socket.pause().write('x');
      const writer = await rig.open(controller.socketPath, connectTo(pod, deaf.port));
      await until('200', () => text(writer) === established);
      writer.socket.write(Buffer.alloc(16 * 1024 * 1024));
    }
    const carried = () => {
      const [{ bytesSent = 0, bytesReceived = 0 } = {}] = agent.status().controllers;
      return bytesSent + bytesReceived;
    };
    let last = -1;
    let looks = 0;
    await until(
      'everything to stand still',
      () => {
        const now = carried();
        // A process that waits for its turn stands still as well: once is not enough.
        looks = now === last ? looks + 1 : 0;
        last = now;
        return looks >= 40;
      },
      { timeoutMs: 60_000 },
    );
    // The same without a tunnel: what there is of it is this machine's. The probe of `until` itself looks every 5 ms.
    const direct = await rig.direct(echo.port);
    const excessMs = async () => {
      const times: number[] = [];
      const directTimes: number[] = [];
      for (let i = 0; i < 50; i += 1) {
        directTimes.push(await timeEcho(direct));
        times.push(await timeEcho(client));
      }
      return secondLargest(times) - 3 * secondLargest(directTimes);
    };
    expect(await quickest(excessMs, 45)).toBeLessThan(45);
    // 256 KiB of each stream, and what the socket to its client holds.
    expect(controller.sessions.status()[0]?.bytesFromNode).toBeLessThan(20 * 768 * 1024);
  });

  it('over the budget closes streams that nobody reads, and no other', async () => {
    const flooding = await rig.target(flood);
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller({
      sessions: { budget: createWindowBudget(100_000), stalledAfterMs: 300 },
    });
    await rig.agent('edge-1', [controller.address]);
    await untilConnected(controller, 'edge-1');
    const client = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
    await until('the echo', () => text(client) === `${established}hi`);
    const reader = await rig.open(controller.socketPath, `${connectTo(pod, flooding.port)}x`);
    await until('the flood', () => reader.received.length > 1_000);
    reader.socket.pause();
    await until('the stream to be closed', () => controller.metrics.read().stalledStreams === 1);
    await until('its target to be left', () => flooding.sockets.size === 0);
    expect(await quickest(() => timeEcho(client), 1_000)).toBeLessThan(1_000);
    expect(controller.sessions.status()[0]).toMatchObject({ sessions: 1, streams: 1 });
  });

  it('that is long costs one round trip for a dial', async () => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    const long = await rig.proxy({ target: controller.port, delayMs: 50 });
    await rig.agent('edge-1', [long.address]);
    await untilConnected(controller, 'edge-1');
    const dialMs = async () => {
      const startedAt = performance.now();
      const client = await rig.open(controller.socketPath, connectTo(pod, echo.port));
      await until('200', () => text(client) === established);
      const tookMs = performance.now() - startedAt;
      expect(tookMs).toBeGreaterThan(95);
      return tookMs;
    };
    expect(await quickest(dialMs, 190)).toBeLessThan(190);
    await until('a round trip', () => (controller.sessions.status()[0]?.rttMs ?? 0) >= 99);
  });
});
