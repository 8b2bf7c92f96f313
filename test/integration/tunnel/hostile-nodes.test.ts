import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createTunnelConnector } from '../../../src/tunnel/connect-tunnel.ts';
import { createYamuxSession } from '../../../src/tunnel/yamux/session.ts';
import type { YamuxStream } from '../../../src/tunnel/yamux/types.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { type Client, connectTo, established } from './harness.ts';
import type { Controller, ControllerOptions } from './tunnel-peers.ts';

/** One node that misbehaves, edge-6, beside one that is well: what the well one notices of it. */
const rig = tunnelRig();
const pod = '10.244.1.5';
const ping = Buffer.from([0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);

interface Scene {
  readonly controller: Controller;
  /** A stream of edge-1 that echoes. */
  readonly neighbour: Client;
  /** A new connection with the certificate of edge-6. */
  connect(): Promise<Duplex>;
}

async function scene(options: ControllerOptions = {}): Promise<Scene> {
  const echo = await rig.target((socket) => socket.pipe(socket));
  const controller = await rig.controller(options);
  await rig.agent('edge-1', [controller.address]);
  await untilConnected(controller, 'edge-1');
  const neighbour = await rig.open(controller.socketPath, `${connectTo(pod, echo.port)}hi`);
  await until('the echo', () => text(neighbour) === `${established}hi`);
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-hostile-'));
  rig.closers.push(() => rm(directory, { recursive: true, force: true }));
  const certFile = path.join(directory, 'node.pem');
  const caFile = path.join(directory, 'ca.crt');
  await writeFile(certFile, rig.cluster.issueNode('edge-6'));
  await writeFile(caFile, rig.cluster.ca);
  const connector = createTunnelConnector({ certFile, keyFile: certFile, caFile });
  const connect = async () => {
    const socket = await connector.connect(controller.address, AbortSignal.timeout(60_000));
    socket.on('error', () => {});
    rig.closers.push(() => socket.destroy());
    return socket;
  };
  return { controller, neighbour, connect };
}

/** The neighbour's stream goes on, and its session is the one that it began with. */
async function expectUnharmed({ controller, neighbour }: Scene): Promise<void> {
  const before = neighbour.received.length;
  neighbour.socket.write('more');
  await until('the echo', () => neighbour.received.length === before + 4);
  const node = controller.sessions.status().find(({ nodeName }) => nodeName === 'edge-1');
  expect(node).toMatchObject({ sessions: 1, reconnects: 0 });
}

const statusOf = ({ controller }: Scene) =>
  controller.sessions.status().find(({ nodeName }) => nodeName === 'edge-6');

describe('case 15: a node that', () => {
  it('asks for answers and reads none loses its session', async () => {
    const stage = await scene();
    const socket = await stage.connect();
    socket.pause();
    const flood = Buffer.concat(Array.from({ length: 4096 }, () => ping));
    const send = () => {
      while (!socket.destroyed && socket.write(flood));
    };
    socket.on('drain', send);
    send();
    await until('the end', () => statusOf(stage)?.lastError !== undefined, {
      timeoutMs: 60_000,
      describe: () => JSON.stringify(statusOf(stage)),
    });
    expect(statusOf(stage)?.lastError).toBe('the peer asks for answers and does not read them');
    await expectUnharmed(stage);
  });

  it('stalls, with streams that are full in both directions, slows nobody down', async () => {
    const stage = await scene({ server: { timeouts: { answerMs: 3_000 } } });
    const socket = await stage.connect();
    const streams: YamuxStream[] = [];
    createYamuxSession({
      ...{ role: 'client', transport: socket },
      onStream: (stream) => {
        streams.push(stream);
        stream
          .on('error', () => {})
          .once('data', () => {
            stream.pause().write(established);
            stream.write(Buffer.alloc(4 * 1024 * 1024));
          });
      },
    });
    await untilConnected(stage.controller, 'edge-6');
    for (let count = 0; count < 10; count += 1) {
      const client = await rig.open(stage.controller.socketPath, connectTo('edge-6', 10_250));
      await until('200', () => text(client).startsWith(established));
      client.socket.pause().write(Buffer.alloc(4 * 1024 * 1024));
    }
    // From now on nothing of its connection is read.
    socket.pause();
    const late = await rig.open(stage.controller.socketPath, connectTo('edge-6', 10_250));
    await until('the answer', () => late.hasEnded);
    expect(text(late)).toContain('HTTP/1.1 504 edge-6:10250 did not answer through the tunnel');
    for (let count = 0; count < 20; count += 1) await expectUnharmed(stage);
  });

  it('connects again and again replaces itself only so often', async () => {
    const stage = await scene();
    const startedAt = performance.now();
    for (let count = 0; count < 40; count += 1) {
      const socket = await stage.connect();
      socket.resume().write(ping);
      await until(
        'it to be taken or closed',
        () => socket.destroyed || statusOf(stage) !== undefined,
      );
    }
    await until('the quarrel', () => stage.controller.metrics.read().duplicateSessions >= 39, {
      describe: () => JSON.stringify(stage.controller.metrics.read()),
    });
    // Five at once, and one more every ten seconds.
    const allowed = 6 + Math.floor((performance.now() - startedAt) / 10_000);
    expect(statusOf(stage)?.reconnects).toBeLessThanOrEqual(allowed);
    expect(statusOf(stage)?.sessions).toBeLessThanOrEqual(allowed);
    await expectUnharmed(stage);
  });

  it('keeps all of its streams open has no more than its share of them', async () => {
    const stage = await scene({ sessions: { maxStreamsPerNode: 20, maxStreams: 25 } });
    const socket = await stage.connect();
    createYamuxSession({
      ...{ role: 'client', transport: socket },
      onStream: (stream) =>
        stream.on('error', () => {}).once('data', () => stream.write(established)),
    });
    await untilConnected(stage.controller, 'edge-6');
    const clients = await Promise.all(
      Array.from({ length: 40 }, () =>
        rig.open(stage.controller.socketPath, connectTo('edge-6', 10_250)),
      ),
    );
    const isAnswered = (client: Client) => text(client).includes('\r\n\r\n');
    await until('all answers', () => clients.every(isAnswered));
    const busy = clients.filter((client) =>
      text(client).startsWith('HTTP/1.1 503 tunnel busy: 20 streams to node edge-6 are open'),
    );
    expect(busy).toHaveLength(20);
    const echo = await rig.target((target) => target.pipe(target));
    const other = await rig.open(stage.controller.socketPath, `${connectTo(pod, echo.port)}hi`);
    await until('the echo', () => text(other) === `${established}hi`);
    await expectUnharmed(stage);
  });

  it("has the certificate of another is that other, and reaches nobody else's streams", async () => {
    const controller = await rig.controller();
    const pem = rig.cluster.issueNode('edge-6');
    await rig.agent('edge-1', [controller.address], { pem });
    await untilConnected(controller, 'edge-6');
    const answerOf = async (host: string) => {
      const client = await rig.open(controller.socketPath, connectTo(host, 10_250));
      await until('the end', () => client.hasEnded);
      return text(client);
    };
    expect(await answerOf('edge-1')).toContain(
      'HTTP/1.1 503 node edge-1 has no tunnel: never connected to this controller',
    );
    expect(await answerOf('edge-6')).toContain(
      'HTTP/1.1 403 this is the agent of node edge-1, not of edge-6',
    );
    await untilNoStream(controller);
  });
});
