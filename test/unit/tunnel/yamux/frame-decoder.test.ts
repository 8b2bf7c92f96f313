import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeHeader,
  encodeSmallData,
  type FrameType,
  frameFlag,
  frameType,
  headerBytes,
} from '../../../../src/tunnel/yamux/frame.ts';
import { FrameDecoder } from '../../../../src/tunnel/yamux/frame-decoder.ts';

interface Seen {
  readonly header: readonly [FrameType, number, number, number];
  readonly payload: string;
}

/** Frames as they were sent, whatever the chunks. */
function decodeAll(chunks: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  let parts: Buffer[] = [];
  let header: Seen['header'] = [0, 0, 0, 0];
  const finish = () => {
    seen.push({ header, payload: Buffer.concat(parts).toString('hex') });
    parts = [];
  };
  const decoder = new FrameDecoder({
    onFrame: (...frame) => {
      header = frame;
      if (frame[0] !== frameType.data) finish();
    },
    onPayload: (bytes) => parts.push(bytes),
    onPayloadEnd: finish,
  });
  for (const chunk of chunks) decoder.decode(chunk);
  return seen;
}

/** One of everything. */
const wire = Buffer.concat([
  encodeHeader(frameType.ping, frameFlag.syn, 0, 0xffff_ffff),
  encodeHeader(frameType.windowUpdate, frameFlag.syn, 2, 0),
  encodeSmallData(frameFlag.ack, 2, Buffer.from('hello')),
  encodeSmallData(frameFlag.fin, 0xffff_fffe, Buffer.alloc(0)),
  encodeHeader(frameType.windowUpdate, frameFlag.rst, 4, 0x8000_0000),
  encodeSmallData(0, 2, Buffer.alloc(40, 7)),
  encodeHeader(frameType.goAway, 0, 0, 0),
]);
const expected: Seen[] = [
  { header: [2, 1, 0, 0xffff_ffff], payload: '' },
  { header: [1, 1, 2, 0], payload: '' },
  { header: [0, 2, 2, 5], payload: Buffer.from('hello').toString('hex') },
  { header: [0, 4, 0xffff_fffe, 0], payload: '' },
  { header: [1, 8, 4, 0x8000_0000], payload: '' },
  { header: [0, 0, 2, 40], payload: '07'.repeat(40) },
  { header: [3, 0, 0, 0], payload: '' },
];

test('a header is version, type, flags, stream and length in network order', () => {
  const header = encodeHeader(frameType.windowUpdate, frameFlag.syn | frameFlag.fin, 258, 65_537);
  expect([...header]).toEqual([0, 1, 0, 5, 0, 0, 1, 2, 0, 1, 0, 1]);
});

describe('frames are the same', () => {
  test('when they arrive in one chunk', () => {
    expect(decodeAll([wire])).toEqual(expected);
  });

  test('when they are split at any byte', () => {
    for (let at = 0; at <= wire.length; at += 1) {
      expect(decodeAll([wire.subarray(0, at), wire.subarray(at)])).toEqual(expected);
    }
  });

  test('when every byte comes alone', () => {
    expect(decodeAll([...wire].map((byte) => Buffer.from([byte])))).toEqual(expected);
  });

  test('when they are cut into parts of any sizes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 }), (sizes) => {
        const chunks: Buffer[] = [];
        let offset = 0;
        for (const size of [...sizes, wire.length]) {
          chunks.push(wire.subarray(offset, offset + size));
          offset += size;
        }
        expect(decodeAll(chunks)).toEqual(expected);
      }),
    );
  });
});

test('payload is a view of what arrived, not a copy', () => {
  const chunk = encodeSmallData(0, 2, Buffer.from('payload'));
  const parts: Buffer[] = [];
  const decoder = new FrameDecoder({
    onFrame: () => {},
    onPayload: (bytes) => parts.push(bytes),
    onPayloadEnd: () => {},
  });
  decoder.decode(chunk);
  const rest = encodeHeader(frameType.data, 0, 2, 3);
  decoder.decode(rest);
  const whole = Buffer.from('abc');
  decoder.decode(whole);
  expect(parts[0]?.buffer).toBe(chunk.buffer);
  expect(parts[0]?.byteOffset).toBe(chunk.byteOffset + headerBytes);
  expect(parts[1]).toBe(whole);
});

test('nothing reaches a sink that has stopped its decoder', () => {
  let frames = 0;
  let ends = 0;
  const decoder = new FrameDecoder({
    onFrame: () => {
      frames += 1;
      decoder.stop();
    },
    onPayload: () => expect.unreachable(),
    onPayloadEnd: () => {
      ends += 1;
    },
  });
  decoder.decode(Buffer.concat([encodeSmallData(0, 2, Buffer.from('x')), wire]));
  decoder.decode(wire);
  expect({ frames, ends }).toEqual({ frames: 1, ends: 0 });
});

describe('is refused with its reason', () => {
  const refusals: [string, Buffer, string][] = [
    ['a version', Buffer.from([1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), 'of version 1: only 0'],
    ['a type', Buffer.from([0, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), 'of unknown type 4'],
    ['flags', encodeHeader(frameType.data, 0x10, 2, 0), 'unknown flags 0x10'],
    ['data for the session', encodeHeader(frameType.data, 0, 0, 0), 'type 0 for stream 0'],
    ['a window of the session', encodeHeader(1, 0, 0, 5), 'type 1 for stream 0'],
    ['a ping of a stream', encodeHeader(frameType.ping, 1, 3, 0), 'type 2 for stream 3'],
    ['GOAWAY of a stream', encodeHeader(frameType.goAway, 0, 3, 0), 'type 3 for stream 3'],
    ['a ping without direction', encodeHeader(frameType.ping, 0, 0, 0), 'ping with flags 0x0'],
    ['a ping of both directions', encodeHeader(frameType.ping, 3, 0, 0), 'ping with flags 0x3'],
    ['text', Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'of version 72: only 0'],
  ];
  test.each(refusals)('%s', (_name, bytes, reason) => {
    expect(() => decodeAll([bytes])).toThrow(reason);
    expect(() => decodeAll([...bytes].map((byte) => Buffer.from([byte])))).toThrow(reason);
  });
});

test('any bytes either are frames or end in a protocol error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeAll([Buffer.from(bytes)]);
      } catch (error) {
        expect(error).toHaveProperty('name', 'ProtocolError');
      }
    }),
  );
});
