import { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { frameFlag, frameType } from '../../../../src/tunnel/yamux/frame.ts';
import { Outbound } from '../../../../src/tunnel/yamux/outbound.ts';
import type { YamuxStream } from '../../../../src/tunnel/yamux/types.ts';
import { framesOf, type RawPeer, rawPeer, settle, until } from './memory-transport.ts';

/** Whether anything has left the session, and be it unread at the other end. */
const hasLeft = (peer: RawPeer) =>
  peer.transport.readableLength > 0 || framesOf(peer, 'data').length > 0;

async function openQuietly(peer: RawPeer): Promise<YamuxStream> {
  const stream = peer.session.openStream();
  stream.on('error', () => {});
  await settle();
  peer.received.length = 0;
  return stream;
}

describe('what a stream sends', () => {
  test('leaves in the same turn, header and payload together', async () => {
    const peer = rawPeer();
    const stream = await openQuietly(peer);
    stream.write(Buffer.alloc(64));
    await new Promise((resolve) => setImmediate(resolve));
    expect(hasLeft(peer)).toBe(true);
    await settle();
    expect(peer.received).toEqual([{ type: frameType.data, flags: 0, id: 2, length: 64 }]);
    peer.session.destroy('the test is over');
  });

  test('waits for no turn to end when it has much to send', async () => {
    const peer = rawPeer();
    const stream = await openQuietly(peer);
    stream.write(Buffer.alloc(2_000));
    await new Promise((resolve) => process.nextTick(resolve));
    expect(hasLeft(peer)).toBe(true);
    peer.session.destroy('the test is over');
  });

  test('waits for 15 small frames of others at most', async () => {
    const peer = rawPeer();
    const stream = await openQuietly(peer);
    for (let count = 0; count < 15; count += 1) stream.write(Buffer.alloc(10));
    await new Promise((resolve) => process.nextTick(resolve));
    expect(hasLeft(peer)).toBe(false);
    stream.write(Buffer.alloc(10));
    expect(hasLeft(peer)).toBe(true);
    await until(() => framesOf(peer, 'data').length === 16, 'all frames to arrive');
    peer.session.destroy('the test is over');
  });
});

describe('frames that may wait for company', () => {
  test('are counted when the peer does not read: streams that it opens and resets cost an answer each', async () => {
    const transport = new Duplex({ write: () => {} });
    let overflows = 0;
    const outbound = new Outbound(transport, () => {
      overflows += 1;
    });
    let sent = 0;
    for (; overflows === 0 && sent < 120_000; sent += 1) {
      outbound.sendControlWithNext(frameType.windowUpdate, frameFlag.ack, 1, 0);
      if (sent % 5_000 === 0) await new Promise((resolve) => setTimeout(resolve, 6));
    }
    expect(overflows).toBe(1);
    expect(transport.writableLength).toBeLessThan(1.25 * 1024 * 1024);
  });
});
