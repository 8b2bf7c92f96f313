import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeHeader,
  encodeSmallData,
  type FrameType,
  frameFlag,
} from '../../../../src/tunnel/yamux/frame.ts';
import { rawPeer, settle } from './memory-transport.ts';

/** A frame that is well formed, or nearly: small numbers, so that streams meet. */
const frame = fc
  .record({
    type: fc.constantFrom<FrameType>(0, 0, 0, 1, 1, 2, 3),
    flags: fc.integer({ min: 0, max: 15 }),
    id: fc.integer({ min: 0, max: 12 }),
    length: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constantFrom(262_144, 0xffff_ffff)),
  })
  .map(({ type, flags, id, length }) =>
    type === 0 && length <= 100
      ? encodeSmallData(flags, id, Buffer.alloc(length))
      : encodeHeader(type, flags, id, length),
  );

const damage = fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), {
  maxLength: 3,
});

test('whatever a peer sends, a session lives on or ends with a reason, and its streams with it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 40 }),
      damage,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 }),
      async (frames, changes, sizes) => {
        const bytes = Buffer.concat([encodeHeader(2, frameFlag.syn, 0, 1), ...frames]);
        for (const { at, value } of changes) bytes[at % bytes.length] = value;
        const peer = rawPeer({
          onStream: (stream) => {
            stream.on('error', () => {});
            stream.pipe(stream);
          },
        });
        for (let count = 0; count < 3; count += 1) {
          const stream = peer.session.openStream();
          stream.on('error', () => {});
          stream.write('some data');
          if (count === 0) stream.resume();
          if (count === 1) stream.end();
        }
        for (let offset = 0, turn = 0; offset < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          peer.transport.write(bytes.subarray(offset, offset + size));
          offset += size;
        }
        await settle(30);
        peer.session.destroy('the test is over');
        const end = await peer.session.ended;
        expect(['protocol', 'closed']).toContain(end.cause);
        expect(end.message).not.toBe('');
        await settle(2);
        // Streams that both sides had ended may still be read.
        expect(peer.session.stats().streams).toBeLessThanOrEqual(9);
        expect(peer.session.isOpen).toBe(false);
      },
    ),
    { numRuns: 150 },
  );
});
