import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StreamIndex } from '../../../../src/tunnel/yamux/stream-index.ts';

test('finds what a map finds, whatever comes and goes', () => {
  // Few enough to collide, some far apart, up to the last number that there is.
  const id = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.constantFrom(0xffff_ffff, 0x8000_0001));
  const step = fc.record({ id, adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const index = new StreamIndex<{ readonly id: number }>();
      const known = new Map<number, { readonly id: number }>();
      for (const { id, adds } of steps) {
        if (adds) {
          const stream = { id };
          index.set(stream);
          known.set(id, stream);
        } else {
          expect(index.delete(id)).toBe(known.delete(id));
        }
        expect(index.size).toBe(known.size);
        expect(index.get(id)).toBe(known.get(id));
      }
      for (const [id, stream] of known) expect(index.get(id)).toBe(stream);
      expect(new Set(index.all())).toEqual(new Set(known.values()));
    }),
  );
});

test('thousands that go leave the others where they are found', () => {
  const index = new StreamIndex<{ readonly id: number }>();
  for (let id = 1; id < 8192; id += 2) index.set({ id });
  for (let id = 1; id < 8192; id += 2) if (id % 64 !== 1) expect(index.delete(id)).toBe(true);
  expect(index.size).toBe(128);
  for (let id = 1; id < 8192; id += 2)
    expect(index.get(id)?.id).toBe(id % 64 === 1 ? id : undefined);
});
