import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differenceByName, median, sumByName, summarize } from '../../bench/statistics.ts';

describe('median', () => {
  test('is the middle value, or the mean of the middle two', () => {
    expect(median([7])).toBe(7);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test('does not sort as text, nor change its input', () => {
    const values = [100, 20, 3];
    expect(median(values)).toBe(20);
    expect(values).toEqual([100, 20, 3]);
  });

  test('refuses an empty list', () => {
    expect(() => median([])).toThrow(RangeError);
  });

  test('half of the values are not above it, half not below', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values);
        const half = values.length / 2;
        expect(values.filter((value) => value <= middle).length).toBeGreaterThanOrEqual(half);
        expect(values.filter((value) => value >= middle).length).toBeGreaterThanOrEqual(half);
      }),
    );
  });
});

test('a summary has the middle and both ends, and is missing without values', () => {
  expect(summarize([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5, runs: 3 });
  expect(summarize([])).toBeUndefined();
});

describe('by name', () => {
  test('amounts of one name are added up, the largest first', () => {
    const shims = [
      { name: 'shim', bytes: 5 },
      { name: 'kubelet', bytes: 7 },
      { name: 'shim', bytes: 4 },
    ];
    const sums = sumByName(shims, ({ bytes }) => bytes);
    expect(Object.entries(sums)).toEqual([
      ['shim', 9],
      ['kubelet', 7],
    ]);
  });

  test('what is new counts in full, what is gone not at all', () => {
    expect(differenceByName({ etcd: 2, gone: 9 }, { etcd: 5, new: 1 })).toEqual({
      etcd: 3,
      new: 1,
    });
  });
});
