import { once } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { frameFlag, frameType } from '../../../../src/tunnel/yamux/frame.ts';
import type { YamuxStream } from '../../../../src/tunnel/yamux/types.ts';
import {
  framesOf,
  type RawPeer,
  rawPeer,
  readAll,
  sessionPair,
  settle,
  until,
} from './memory-transport.ts';

const { data, windowUpdate, ping, goAway } = frameType;
const { syn, ack, fin, rst } = frameFlag;

function echo(stream: YamuxStream): void {
  stream.pipe(stream);
}

function endBoth(pair: ReturnType<typeof sessionPair>): void {
  pair.client.destroy('the test is over');
  pair.server.destroy('the test is over');
}

describe('a stream', () => {
  test('carries bytes both ways and is gone when both sides have ended it', async () => {
    const pair = sessionPair(echo);
    const stream = pair.server.openStream();
    stream.end('hello');
    expect((await readAll(stream)).toString()).toBe('hello');
    await settle();
    expect(stream.destroyed).toBe(true);
    expect({ sent: stream.bytesWritten, read: stream.bytesRead }).toEqual({ sent: 5, read: 5 });
    expect(pair.server.stats()).toMatchObject({ streams: 0, bytesSent: 5, bytesReceived: 5 });
    expect(pair.client.stats()).toMatchObject({ streams: 0, bytesSent: 5, bytesReceived: 5 });
    endBoth(pair);
  });

  test('stays open one way when the other way has ended', async () => {
    const pair = sessionPair(() => {});
    const stream = pair.server.openStream();
    stream.end('question');
    await settle();
    const [served] = pair.accepted;
    expect((await readAll(served as YamuxStream)).toString()).toBe('question');
    served?.end(Buffer.alloc(300_000));
    expect((await readAll(stream)).length).toBe(300_000);
    endBoth(pair);
  });

  test('a reset of one side is ECONNRESET on the other, and leaves nothing', async () => {
    const pair = sessionPair(() => {});
    const stream = pair.server.openStream();
    stream.write('x');
    await settle();
    const failure = once(pair.accepted[0] as YamuxStream, 'error');
    stream.resetAndDestroy();
    const [error] = await failure;
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    await settle();
    expect([pair.client.stats().streams, pair.server.stats().streams]).toEqual([0, 0]);
    endBoth(pair);
  });

  test('destroySoon sends what was written first', async () => {
    const pair = sessionPair(() => {});
    const stream = pair.server.openStream();
    stream.write(Buffer.alloc(1_000_000, 1));
    stream.destroySoon();
    await settle();
    const all = readAll(pair.accepted[0] as YamuxStream);
    const closed = once(stream, 'close');
    expect((await all.catch(() => Buffer.alloc(0))).length).toBe(1_000_000);
    await closed;
    endBoth(pair);
  });

  test('calls back the writes that it could not send any more', async () => {
    const peer = rawPeer();
    const stream = peer.session.openStream();
    stream.on('error', () => {});
    const results: unknown[] = [];
    stream.write(Buffer.alloc(500_000), (error) => results.push(error));
    stream.write('more', (error) => results.push(error));
    stream.destroy();
    await settle();
    expect(results).toHaveLength(2);
    expect(results.every((result) => result instanceof Error)).toBe(true);
    peer.session.destroy('the test is over');
  });
});

describe('flow control', () => {
  test('sends 256 KiB, then waits for the peer, and never a frame above 32 KiB', async () => {
    const peer = rawPeer();
    const stream = peer.session.openStream();
    stream.on('error', () => {});
    stream.write(Buffer.alloc(1_000_000));
    await settle(200);
    const sent = () => framesOf(peer, 'data').reduce((sum, { length }) => sum + length, 0);
    expect(sent()).toBe(256 * 1024);
    peer.send(windowUpdate, ack, 2, 1000);
    await settle(200);
    expect(sent()).toBe(256 * 1024 + 1000);
    expect(Math.max(...framesOf(peer, 'data').map(({ length }) => length))).toBeLessThan(32 * 1024);
    peer.session.destroy('the test is over');
  });

  test('a stalled reader gets one window, and does not hold up another stream', async () => {
    const pair = sessionPair(() => {});
    const stalled = pair.server.openStream();
    const lively = pair.server.openStream();
    stalled.on('error', () => {});
    lively.on('error', () => {});
    stalled.write(Buffer.alloc(2_000_000));
    await settle(200);
    lively.write('ping');
    await settle();
    expect(pair.accepted[1]?.read()?.toString()).toBe('ping');
    expect(stalled.bytesWritten).toBe(256 * 1024);
    endBoth(pair);
  });

  test('a full transport stops data, not control frames', async () => {
    const peer = rawPeer();
    const streams = Array.from({ length: 20 }, () => peer.session.openStream());
    peer.transport.pause();
    for (const stream of streams) stream.on('error', () => {}).write(Buffer.alloc(200_000));
    await settle();
    expect(streams.reduce((sum, stream) => sum + stream.bytesWritten, 0)).toBeLessThan(300_000);
    peer.send(ping, syn, 0, 77);
    streams[0]?.resetAndDestroy();
    await settle();
    peer.transport.resume();
    await settle(20);
    expect(peer.received).toContainEqual({ type: ping, flags: ack, id: 0, length: 77 });
    expect(peer.received).toContainEqual({ type: windowUpdate, flags: rst, id: 2, length: 0 });
    peer.session.destroy('the test is over');
  });

  test('streams take turns, one frame each', async () => {
    const peer = rawPeer();
    const streams = Array.from({ length: 4 }, () => peer.session.openStream());
    for (const stream of streams) stream.on('error', () => {}).write(Buffer.alloc(250_000));
    await settle(200);
    const order = framesOf(peer, 'data').map(({ id }) => id);
    // The first fills the transport; from then on nobody is served twice before all have been once.
    const turns = order.slice(4, 16);
    expect(new Set(turns.slice(0, 4)).size).toBe(4);
    expect(new Set(turns.slice(4, 8)).size).toBe(4);
    peer.session.destroy('the test is over');
  });
});

describe('bulk in both directions', () => {
  test.each([8, 32])(
    'on %i streams each completes through tiny transport buffers',
    async (count) => {
      const bytes = 1_000_000;
      const pair = sessionPair((stream) => {
        stream.end(Buffer.alloc(bytes, 2));
        stream.resume();
      });
      const received = Array.from({ length: count }, () => {
        const stream = pair.server.openStream();
        stream.end(Buffer.alloc(bytes, 1));
        return readAll(stream);
      });
      for (const all of await Promise.all(received)) expect(all.length).toBe(bytes);
      await until(() => pair.client.stats().streams === 0, 'the streams to be gone');
      expect(pair.client.stats().bytesReceived).toBe(count * bytes);
      endBoth(pair);
    },
  );
});

describe('opening', () => {
  test('server streams are even, client streams odd, and each begins with SYN', async () => {
    const server = rawPeer();
    const client = rawPeer({ role: 'client' });
    const open = ({ session }: RawPeer) => session.openStream().on('error', () => {}).id;
    const ids = [server, client].map((peer) => [open(peer), open(peer)]);
    expect(ids).toEqual([
      [2, 4],
      [1, 3],
    ]);
    await settle();
    expect(framesOf(server, 'windowUpdate')).toEqual([
      { type: windowUpdate, flags: syn, id: 2, length: 0 },
      { type: windowUpdate, flags: syn, id: 4, length: 0 },
    ]);
    for (const { session } of [server, client]) session.destroy('the test is over');
  });

  test('is acknowledged soon, and SYN may bring data and a larger window', async () => {
    const streams: YamuxStream[] = [];
    const peer = rawPeer({ onStream: (stream) => streams.push(stream.on('error', () => {})) });
    peer.send(data, syn | fin, 1, 5, Buffer.from('hello'));
    peer.send(windowUpdate, syn, 3, 100_000);
    await until(() => framesOf(peer, 'windowUpdate').length > 1, 'the acknowledgements');
    expect(framesOf(peer, 'windowUpdate')).toEqual([
      { type: windowUpdate, flags: ack, id: 1, length: 0 },
      { type: windowUpdate, flags: ack, id: 3, length: 0 },
    ]);
    const [first, second] = streams;
    expect((await readAll(first as YamuxStream).catch(() => 'failed')).toString()).toBe('hello');
    second?.write(Buffer.alloc(500_000));
    await settle(200);
    expect(second?.bytesWritten).toBe(256 * 1024 + 100_000);
    peer.session.destroy('the test is over');
  });

  test('its acknowledgement goes with the first answer, when that comes soon', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const streams: YamuxStream[] = [];
      const peer = rawPeer({ onStream: (stream) => streams.push(stream.on('error', () => {})) });
      peer.send(windowUpdate, syn, 1, 0);
      await settle();
      expect(framesOf(peer, 'windowUpdate')).toEqual([]);
      peer.received.length = 0;
      streams[0]?.write('answer');
      await settle();
      expect(peer.received).toEqual([
        { type: windowUpdate, flags: ack, id: 1, length: 0 },
        { type: data, flags: 0, id: 1, length: 6 },
      ]);
      vi.advanceTimersByTime(100);
      await settle();
      expect(peer.received).toHaveLength(2);
      peer.session.destroy('the test is over');
    } finally {
      vi.useRealTimers();
    }
  });
  test('waits while 256 streams are unanswered, and sends what they wrote meanwhile', async () => {
    const peer = rawPeer();
    const streams = Array.from({ length: 300 }, () => peer.session.openStream());
    for (const stream of streams) stream.on('error', () => {}).end('x');
    const opened = () => framesOf(peer, 'windowUpdate').filter(({ flags }) => flags === syn).length;
    await until(() => framesOf(peer, 'data').length === 256, '256 streams');
    expect(opened()).toBe(256);
    streams[299]?.destroy();
    for (let id = 2; id <= 20; id += 2) peer.send(windowUpdate, ack, id, 0);
    await until(() => framesOf(peer, 'data').length === 266, '10 more');
    expect(opened()).toBe(266);
    for (let id = 22; id <= 512; id += 2) peer.send(windowUpdate, rst, id, 0);
    const ended = () => framesOf(peer, 'windowUpdate').filter(({ flags }) => flags === fin);
    await until(() => ended().length === 299, 'all but the one that was given up');
    expect(opened()).toBe(299);
    peer.session.destroy('the test is over');
  });

  test('has a limit, both ways', async () => {
    const peer = rawPeer({ maxStreams: 3, onStream: (stream) => stream.on('error', () => {}) });
    for (const id of [1, 3, 5, 7]) peer.send(windowUpdate, syn, id, 0);
    await settle();
    expect(framesOf(peer, 'windowUpdate').map(({ flags }) => flags)).toEqual([ack, ack, ack, rst]);
    expect(() => peer.session.openStream()).toThrow('has 3 streams open');
    peer.session.destroy('the test is over');
  });
});

describe('GOAWAY', () => {
  test('drain: no new streams, the old ones finish, then both sides close', async () => {
    const pair = sessionPair(echo);
    const stream = pair.server.openStream();
    stream.write('before');
    await settle();
    pair.client.drain();
    await settle();
    expect([pair.client.isOpen, pair.server.isOpen]).toEqual([false, false]);
    expect(() => pair.server.openStream()).toThrow('draining');
    stream.end('after');
    expect((await readAll(stream)).toString()).toBe('beforeafter');
    expect((await pair.client.ended).cause).toBe('closed');
    expect((await pair.server.ended).cause).toBe('closed');
  });

  test('a stream that crosses the GOAWAY is served', async () => {
    const pair = sessionPair(echo);
    await settle();
    pair.client.drain();
    const stream = pair.server.openStream();
    stream.end('crossing');
    expect((await readAll(stream)).toString()).toBe('crossing');
    expect((await pair.client.ended).message).toBe('drained');
  });

  test('streams that come later are reset', async () => {
    const peer = rawPeer({ onStream: (stream) => stream.on('error', () => {}) });
    peer.send(windowUpdate, syn, 1, 0);
    await settle();
    peer.session.drain();
    await settle();
    const drainPing = framesOf(peer, 'ping').at(-1)?.length ?? 0;
    expect(framesOf(peer, 'goAway')).toEqual([{ type: goAway, flags: 0, id: 0, length: 0 }]);
    peer.send(ping, ack, 0, drainPing);
    peer.send(windowUpdate, syn, 3, 0);
    await settle();
    expect(peer.received.at(-1)).toEqual({ type: windowUpdate, flags: rst, id: 3, length: 0 });
    peer.session.destroy('the test is over');
  });

  test('streams that were not sent yet fail, and the session lives on for the others', async () => {
    const peer = rawPeer();
    const errors: unknown[] = [];
    for (let count = 0; count < 257; count += 1) {
      peer.session.openStream().on('error', (error) => errors.push(error));
    }
    await settle();
    peer.send(goAway, 0, 0, 0);
    await settle();
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ code: 'ECONNRESET' });
    expect(peer.session.stats().streams).toBe(256);
    peer.session.destroy('the test is over');
  });
});

describe('the end of a session', () => {
  test('destroys its streams with ECONNRESET and says why', async () => {
    const pair = sessionPair(() => {});
    const stream = pair.server.openStream();
    await settle();
    const failures = [once(stream, 'error'), once(pair.accepted[0] as YamuxStream, 'error')];
    pair.server.destroy('node edge-1 was removed');
    for (const failure of failures)
      expect((await failure)[0]).toMatchObject({ code: 'ECONNRESET' });
    expect(await pair.server.ended).toEqual({
      cause: 'closed',
      message: 'node edge-1 was removed',
    });
    expect((await pair.client.ended).cause).toBe('closed');
    expect(() => pair.server.openStream()).toThrow('node edge-1 was removed');
    expect([pair.server.stats().streams, pair.client.stats().streams]).toEqual([0, 0]);
  });

  test('is a failure of the transport when that just closes', async () => {
    const peer = rawPeer();
    await settle();
    peer.transport.destroy();
    expect(await peer.session.ended).toEqual({
      cause: 'transport',
      message: 'the peer closed the connection',
    });
  });

  test('what has arrived whole can still be read', async () => {
    const pair = sessionPair(echo);
    const stream = pair.server.openStream();
    stream.end(Buffer.alloc(100_000));
    await settle(50);
    pair.client.destroy('the test is over');
    await pair.server.ended;
    expect((await readAll(stream)).length).toBe(100_000);
  });
});
