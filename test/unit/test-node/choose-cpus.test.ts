import { describe, expect, test } from 'vitest';
import { leastTaken } from '../../support/node/choose-cpus.ts';

describe('the CPUs of a test node', () => {
  const cases: readonly [string, readonly number[][], number, readonly number[]][] = [
    ['the last one of a machine without nodes', [], 1, [3]],
    ['the last one that is free', [[3]], 1, [2]],
    ['the one with the fewest nodes', [[3], [3], [2], [1], [0], [0]], 1, [2]],
    ['two, in ascending order', [[3], [2]], 2, [0, 1]],
    ['one that a larger node leaves', [[2, 3]], 1, [1]],
    ['all of them, however they are taken', [[0], [1]], 4, [0, 1, 2, 3]],
  ];
  test.each(cases)('%s', (_, taken, count, chosen) => {
    const sets = taken.map((cpus) => new Set(cpus));
    expect(leastTaken([0, 1, 2, 3], sets, count)).toEqual(chosen);
  });
});
