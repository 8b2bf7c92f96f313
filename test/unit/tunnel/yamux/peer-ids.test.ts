import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PeerIds } from '../../../../src/tunnel/yamux/peer-ids.ts';

test('ids in order are new once', () => {
  const ids = new PeerIds(1);
  for (const id of [1, 3, 5]) ids.open(id);
  expect(ids.wasOpened(5)).toBe(true);
  expect(ids.wasOpened(7)).toBe(false);
  expect(() => ids.open(3)).toThrow('opened stream 3 twice');
});

describe('a number of the other side', () => {
  test.each([
    [1, 2],
    [2, 7],
  ] as const)('is refused where the first is %i', (first, id) => {
    expect(() => new PeerIds(first).open(id)).toThrow(`stream ${id}, whose number is ours to use`);
  });
});

test('streams that were opened at once may come in any order, each once', () => {
  const shuffled = fc.shuffledSubarray(
    Array.from({ length: 100 }, (_, index) => 2 + index * 2),
    { minLength: 100 },
  );
  fc.assert(
    fc.property(shuffled, (order) => {
      const ids = new PeerIds(2);
      for (const id of order) {
        expect(ids.wasOpened(id)).toBe(false);
        ids.open(id);
        expect(ids.wasOpened(id)).toBe(true);
      }
      for (const id of order) expect(() => ids.open(id)).toThrow('twice');
    }),
  );
});

test('jumps cost a bounded amount of memory: the oldest holes count as used', () => {
  const ids = new PeerIds(1);
  for (let id = 1; id < 4_000_000_000; id += 1_000_000) ids.open(id);
  expect(ids.wasOpened(3)).toBe(true);
  expect(ids.wasOpened(3_998_000_003)).toBe(false);
});
