import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createTunnelConnector } from '../../../src/tunnel/connect-tunnel.ts';
import type { ByteStream } from '../../../src/tunnel/types.ts';
import { createYamuxSession } from '../../../src/tunnel/yamux/session.ts';
import type { YamuxStream } from '../../../src/tunnel/yamux/types.ts';
import { text, tunnelRig, until, untilConnected, untilNoStream } from './agent-rig.ts';
import { connectTo, established } from './harness.ts';
import { createTestCluster } from './node-certificates.ts';
import type { Controller } from './tunnel-peers.ts';

const rig = tunnelRig();

/** A connection with the certificate of `edge-6`, for whoever wants to misbehave on it. */
async function connectAs(controller: Controller, pem = rig.cluster.issueNode('edge-6')) {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-hostile-'));
  const certFile = path.join(directory, 'node.pem');
  const caFile = path.join(directory, 'ca.crt');
  await writeFile(certFile, pem);
  await writeFile(caFile, rig.cluster.ca);
  const { connect } = createTunnelConnector({ certFile, keyFile: certFile, caFile });
  const socket = await connect(controller.address, AbortSignal.timeout(60_000));
  socket.on('error', () => {});
  rig.closers.push(async () => {
    socket.destroy();
    await rm(directory, { recursive: true, force: true });
  });
  return socket;
}

/** Type, flags, stream and length: the twelve bytes before every frame. */
function header(type: number, flags: number, id: number, length: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(type, 1);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt32BE(id, 4);
  bytes.writeUInt32BE(length, 8);
  return bytes;
}

const ping = header(2, 1, 0, 7);

/** Waits until the controller has opened stream 2, and accepts it. */
async function acceptStream(socket: Duplex): Promise<void> {
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
  });
  await until('the stream', () => received.includes('CONNECT'));
  socket.write(header(1, 2, 2, 0));
}

describe('case 15: an agent that', () => {
  it.each([
    ['sends garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['opens a stream', Buffer.concat([ping, header(1, 1, 1, 0)])],
    ['opens a stream with an id of ours', Buffer.concat([ping, header(1, 1, 2, 0)])],
    ['sends a frame of 2 GiB', Buffer.concat([ping, header(0, 0, 2, 0x7fff_ffff)])],
    ['sends frames of an unknown type', Buffer.concat([ping, header(9, 0, 0, 0)])],
  ])('%s loses its session, and nobody else does', async (_title, bytes) => {
    const echo = await rig.target((socket) => socket.pipe(socket));
    const controller = await rig.controller();
    await rig.agent('edge-1', [controller.address]);
    await untilConnected(controller, 'edge-1');
    const client = await rig.open(controller.socketPath, `${connectTo('10.244.1.5', echo.port)}a`);
    await until('the echo', () => text(client) === `${established}a`);
    const hostile = await connectAs(controller);
    hostile.write(bytes);
    const status = () => controller.sessions.status().find((node) => node.nodeName === 'edge-6');
    await until('the end', () => status()?.sessions === 0, {
      describe: () => JSON.stringify(status()),
    });
    await until('the connection to be closed', () => hostile.resume().destroyed);
    expect(status()?.lastError).not.toBe(undefined);
    client.socket.write('b');
    await until('the echo', () => text(client) === `${established}ab`);
    expect(controller.sessions.isConnected('edge-1')).toBe(true);
  });

  it('overruns the window of a stream loses its session', async () => {
    const controller = await rig.controller();
    const hostile = await connectAs(controller);
    hostile.write(ping);
    await untilConnected(controller, 'edge-6');
    const client = await rig.open(controller.socketPath, connectTo('edge-6', 10250));
    await acceptStream(hostile);
    const answer = Buffer.from(established);
    hostile.write(Buffer.concat([header(0, 0, 2, answer.length), answer]));
    await until('200', () => text(client) === established);
    hostile.write(Buffer.concat([header(0, 0, 2, 300_000), Buffer.alloc(300_000)]));
    await until('the end', () => !controller.sessions.isConnected('edge-6'));
    expect(controller.sessions.status()[0]?.lastError).toMatch(/overran the window of stream 2/);
    await until('the end of the client', () => client.hasEnded || client.socket.destroyed);
    await untilNoStream(controller);
  });

  it('never says a word is closed', async () => {
    const controller = await rig.controller({ sessions: { carrier: { firstFrameMs: 200 } } });
    const hostile = await connectAs(controller);
    await until('the end', () => hostile.resume().destroyed);
    expect(controller.sessions.status()[0]?.lastError).toBe('no first frame within 0.2 s');
  });

  it('has a certificate of another cluster does not connect', async () => {
    const controller = await rig.controller();
    const stranger = createTestCluster();
    const hostile = await connectAs(controller, stranger.issueNode('edge-1')).catch(
      (error: unknown) => error,
    );
    if (!(hostile instanceof Error)) {
      const socket = hostile as Duplex;
      await until('the end', () => socket.resume().destroyed);
    }
    expect(controller.sessions.status()).toEqual([]);
  });
});

describe('an agent that answers a CONNECT', () => {
  const serve = async (write: (stream: YamuxStream) => void, answerMs = 20_000) => {
    const controller = await rig.controller({ server: { timeouts: { answerMs } } });
    const transport = await connectAs(controller);
    createYamuxSession({
      ...{ role: 'client', transport },
      onStream: (stream) => {
        stream.on('error', () => {}).resume();
        write(stream);
      },
    });
    await untilConnected(controller, 'edge-6');
    const client = await rig.open(controller.socketPath, `${connectTo('edge-6', 10250)}hi`);
    return { controller, client };
  };

  it.each<[string, (stream: YamuxStream) => void, string]>([
    [
      'with garbage',
      (s) => s.write('SSH-2.0\r\n'),
      '502 the agent of node edge-6 is not understood: it answered with something that is not HTTP',
    ],
    [
      'with 201',
      (s) => s.write('HTTP/1.1 201 x\r\n\r\n'),
      '502 the agent of node edge-6 is not understood: it answered with a malformed status line',
    ],
    [
      'with 20 KiB of header',
      (s) => s.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`),
      '502 the agent of node edge-6 is not understood: its answer is longer than 16384 bytes',
    ],
    ['with FIN', (s) => s.end(), '502 the agent of node edge-6 hung up without an answer'],
    ['with RST', (s) => s.resetAndDestroy(), '502 the tunnel of node edge-6 broke off: '],
    [
      'with nothing',
      () => {},
      '504 edge-6:10250 did not answer through the tunnel of node edge-6 within 0.4 s',
    ],
    [
      'with half a header',
      (s) => s.write('HTTP/1.1 200 OK\r\nX'),
      '504 edge-6:10250 did not answer through',
    ],
    [
      'with control characters',
      (s) => s.write('HTTP/1.1 403 \u001b[2Jno\u0000\r\n\r\n'),
      '403 ?[2Jno?\r\n',
    ],
    ['without a reason', (s) => s.write('HTTP/1.1 500\r\n\r\n'), '500 refused by node edge-6\r\n'],
  ])('%s is turned into a reason', async (_title, write, answer) => {
    // Only who is to be late has little time: on a busy machine 0.4 s pass before the others have answered.
    const { controller, client } = await serve(write, answer.startsWith('504') ? 400 : undefined);
    await until('the end', () => client.hasEnded, { describe: () => text(client) });
    expect(text(client)).toContain(`HTTP/1.1 ${answer}`);
    await untilNoStream(controller);
    expect(controller.sessions.isConnected('edge-6')).toBe(true);
  });

  it('byte by byte, with its target talking at once, is understood', async () => {
    const { client } = await serve((stream) => {
      for (const byte of 'HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello') stream.write(byte);
    });
    await until('200 and the greeting', () => text(client) === `${established}hello`);
  });
});

describe('an agent whose controller', () => {
  it.each([
    ['speaks HTTP', 'GET / HTTP/1.1\r\n\r\n', '405 only CONNECT is served here, not GET'],
    ['sends garbage', '\u0016\u0003\u0001', '400 this is not an HTTP CONNECT request'],
    [
      'sends 20 KiB of header',
      `CONNECT a:1 HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`,
      '431 the CONNECT header is longer',
    ],
    [
      'sends half a header',
      'CONNECT a:1 HTTP/1.1\r\n',
      '408 no complete CONNECT request within 3 s',
    ],
    [
      'asks for cloud metadata',
      connectTo('169.254.169.254', 80),
      '403 169.254.169.254:80 is a link-local address',
    ],
    ['asks for its etcd', connectTo('127.0.0.1', 2379), '403 127.0.0.1:2379 is a loopback address'],
    [
      'asks for its neighbour',
      connectTo('192.168.1.1', 22),
      '403 192.168.1.1:22 is not on node edge-1',
    ],
    [
      'asks for another node',
      connectTo('edge-2', 10250),
      '403 this is the agent of node edge-1, not of edge-2',
    ],
    [
      'asks for a name',
      connectTo('localhost', 10250),
      '403 this is the agent of node edge-1, not of localhost',
    ],
  ])('case 10: %s refuses', async (_title, request, answer) => {
    const controller = await rig.controller();
    const dialled: string[] = [];
    const { agent } = await rig.agent('edge-1', [controller.address], {
      dial: (address) => {
        dialled.push(address);
        throw new Error('unreachable');
      },
    });
    await untilConnected(controller, 'edge-1');
    const stream = openStream(controller);
    let received = '';
    stream.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
    });
    stream.write(request);
    await until('the end', () => stream.readableEnded, { describe: () => received });
    expect(received).toContain(`HTTP/1.1 ${answer}`);
    expect(dialled).toEqual([]);
    expect(agent.status()).toMatchObject({ acceptedStreams: 0, refusedStreams: 1 });
  });
});

function openStream(controller: Controller): ByteStream {
  const opened = controller.sessions.openStream('edge-1');
  if (opened.type !== 'stream') throw new Error(opened.refusal.reason);
  opened.stream.on('error', () => {});
  return opened.stream;
}
