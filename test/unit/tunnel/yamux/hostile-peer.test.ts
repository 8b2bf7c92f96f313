import { describe, expect, test, vi } from 'vitest';
import {
  encodeHeader,
  frameFlag,
  frameType,
  goAwayCode,
} from '../../../../src/tunnel/yamux/frame.ts';
import type { YamuxOptions } from '../../../../src/tunnel/yamux/types.ts';
import { framesOf, type RawPeer, rawPeer, settle } from './memory-transport.ts';

const { data, windowUpdate, ping, goAway } = frameType;
const { syn, ack, fin, rst } = frameFlag;
const window = 256 * 1024;

function acceptAll(): Partial<YamuxOptions> {
  return { onStream: (stream) => stream.on('error', () => {}) };
}

async function endOf(peer: RawPeer) {
  await settle(250);
  peer.session.destroy('the test ran to its end');
  return await peer.session.ended;
}

describe('a session ends with a clear message', () => {
  const offences: [string, string, (peer: RawPeer) => void][] = [
    [
      'window overrun',
      'overran the window of stream 1: 262145 bytes where 262144 were left',
      (peer) => {
        peer.send(windowUpdate, syn, 1, 0);
        peer.send(data, 0, 1, window + 1);
      },
    ],
    [
      'a frame of 4 GiB',
      'overran the window of stream 1: 4294967295 bytes',
      (peer) => peer.send(data, syn, 1, 0xffff_ffff),
    ],
    [
      'credit overflow',
      'raised the window of stream 1 above 4 GiB',
      (peer) => peer.send(windowUpdate, syn, 1, 0xffff_ffff),
    ],
    [
      'a number of ours',
      'opened stream 2, whose number is ours to use',
      (peer) => peer.send(windowUpdate, syn, 2, 0),
    ],
    [
      'a number used twice',
      'opened stream 1 twice',
      (peer) => {
        peer.send(windowUpdate, syn, 1, 0);
        peer.send(windowUpdate, syn, 1, 0);
      },
    ],
    [
      'a number used again after its stream was closed',
      'opened stream 1 twice',
      (peer) => {
        peer.send(windowUpdate, syn, 1, 0);
        peer.send(windowUpdate, rst, 1, 0);
        peer.send(windowUpdate, syn, 1, 0);
      },
    ],
    [
      'data for a stream that nobody opened',
      'a frame for stream 9, which nobody opened',
      (peer) => peer.send(data, 0, 9, 4, Buffer.alloc(4)),
    ],
    [
      'a window for a stream that we did not open',
      'a frame for stream 8, which nobody opened',
      (peer) => peer.send(windowUpdate, 0, 8, 4),
    ],
    [
      'GOAWAY with a protocol error',
      'the peer ends the session: protocol error',
      (peer) => peer.send(goAway, 0, 0, 1),
    ],
    [
      'GOAWAY with an internal error',
      'the peer ends the session: internal error',
      (peer) => peer.send(goAway, 0, 0, 2),
    ],
    ['GOAWAY with nonsense', 'GOAWAY with unknown code 9', (peer) => peer.send(goAway, 0, 0, 9)],
    [
      'another protocol',
      'of version 22: only 0 is known',
      (peer) => peer.transport.write(Buffer.from('16030100c8010000c40303', 'hex').fill(0x16)),
    ],
  ];
  test.each(offences)('%s', async (_name, message, offend) => {
    const peer = rawPeer(acceptAll());
    offend(peer);
    peer.transport.write(Buffer.alloc(12));
    const end = await endOf(peer);
    expect(end.cause).toBe('protocol');
    expect(end.message).toContain(message);
    expect(framesOf(peer, 'goAway').at(-1)?.length).toBe(goAwayCode.protocolError);
    expect(peer.session.stats().streams).toBe(0);
  });

  test('a stream opened by a peer that may not', async () => {
    const peer = rawPeer();
    peer.send(windowUpdate, syn, 1, 0);
    expect(await endOf(peer)).toEqual({
      cause: 'protocol',
      message: 'the peer opened stream 1, which it may not',
    });
  });

  test('a peer that asks for answers and never reads them', async () => {
    const peer = rawPeer();
    peer.transport.pause();
    const pings = Buffer.concat(Array(1000).fill(encodeHeader(ping, syn, 0, 7)));
    for (let count = 0; count < 200 && peer.session.isOpen; count += 1) {
      peer.transport.write(pings);
      await settle(2);
    }
    const end = await endOf(peer);
    expect(end.message).toBe('the peer asks for answers and does not read them');
  });
});

describe('frames that are late are ignored', () => {
  test('as many as were allowed before the reset, and their streams stay closed', async () => {
    const peer = rawPeer();
    const stream = peer.session.openStream();
    await settle();
    stream.resetAndDestroy();
    await settle();
    for (let count = 0; count < 8; count += 1) peer.send(data, 0, 2, 32_768, Buffer.alloc(32_768));
    peer.send(windowUpdate, ack, 2, 500_000);
    peer.send(data, fin, 2, 0);
    peer.send(windowUpdate, rst, 2, 0);
    await settle(250);
    expect(peer.session.isOpen).toBe(true);
    expect(peer.session.stats()).toMatchObject({ streams: 0, bytesReceived: window });
    peer.session.destroy('the test is over');
  });

  test('but not more bytes than that', async () => {
    const peer = rawPeer();
    peer.session.openStream().resetAndDestroy();
    for (let count = 0; count < 17; count += 1) peer.send(data, 0, 2, 32_768, Buffer.alloc(32_768));
    const end = await endOf(peer);
    expect(end.message).toBe('the peer goes on sending for streams that are closed, now 2');
  });

  test('nor more frames', async () => {
    const peer = rawPeer();
    peer.session.openStream().resetAndDestroy();
    for (let count = 0; count < 200; count += 1) peer.send(windowUpdate, 0, 2, 1);
    expect((await endOf(peer)).cause).toBe('protocol');
  });

  test('data after FIN goes nowhere, within its window', async () => {
    const peer = rawPeer();
    const stream = peer.session.openStream();
    stream.on('error', () => {});
    stream.resume();
    peer.send(data, ack | fin, 2, 3, Buffer.from('end'));
    peer.send(data, fin, 2, 4, Buffer.from('more'));
    await settle();
    expect(stream.bytesRead).toBe(3);
    expect(peer.session.isOpen).toBe(true);
    peer.send(data, 0, 2, window);
    expect((await endOf(peer)).message).toContain('overran the window of stream 2');
  });

  test('a reset in the middle of a frame loses the frame, not its place', async () => {
    const peer = rawPeer();
    const stream = peer.session.openStream();
    stream.on('error', () => {});
    peer.send(data, ack, 2, 1000, Buffer.alloc(400));
    await settle();
    stream.destroy();
    peer.transport.write(Buffer.alloc(600));
    peer.send(ping, syn, 0, 5);
    await settle();
    expect(peer.received.at(-1)).toEqual({ type: ping, flags: ack, id: 0, length: 5 });
    peer.session.destroy('the test is over');
  });
});

describe('a silent peer', () => {
  test('that says nothing at all is given up after the first-frame time', async () => {
    const peer = rawPeer({ firstFrameMs: 30 });
    peer.transport.write(Buffer.alloc(5));
    expect(await peer.session.ended).toEqual({
      cause: 'timeout',
      message: 'no first frame within 0.03 s',
    });
  });

  test('that falls silent is given up after the dead time, whatever it is asked', async () => {
    // The clock is the test's: on a busy machine few pings fit between two looks at a real one.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const peer = rawPeer({ deadAfterMs: 60_000, pingIntervalMs: 10_000 });
      peer.send(ping, syn, 0, 1);
      await settle();
      for (let second = 0; second < 60; second += 1) {
        expect(peer.session.isOpen).toBe(true);
        vi.advanceTimersByTime(1_000);
        await settle();
      }
      const end = await peer.session.ended;
      expect(end).toEqual({ cause: 'timeout', message: 'no frame for 60 s' });
      expect(framesOf(peer, 'ping').length).toBeGreaterThan(4);
    } finally {
      vi.useRealTimers();
    }
  });

  test('that only answers pings is alive, and the round trip is known', async () => {
    // The clock is the test's here too.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const peer = rawPeer({
        ...{ deadAfterMs: 600, firstFrameMs: 600, pingIntervalMs: 10 },
        random: () => 0.5,
      });
      let answered = 0;
      for (let passedMs = 0; passedMs < 900; passedMs += 5) {
        const asked = framesOf(peer, 'ping').slice(answered);
        vi.advanceTimersByTime(5);
        for (const { length } of asked) {
          peer.send(ping, ack, 0, length);
          answered += 1;
        }
        await settle();
      }
      expect(peer.session.isOpen).toBe(true);
      expect(answered).toBeGreaterThan(50);
      expect(peer.session.stats().rttMs).toBe(5);
      peer.session.destroy('the test is over');
    } finally {
      vi.useRealTimers();
    }
  });
});
