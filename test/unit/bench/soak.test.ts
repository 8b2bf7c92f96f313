import { describe, expect, it } from 'vitest';
import { parseSoakOptions } from '../../bench/soak/options.ts';
import { createRandom } from '../../bench/soak/random.ts';
import { isLevel, slopePerMinute } from '../../bench/soak/slope.ts';
import { block, blockAt, expectBlock } from '../../bench/soak/target.ts';

describe('the slope of memory', () => {
  const every10s = (...bytes: number[]) =>
    bytes.map((value, i) => ({ atMs: i * 10_000, bytes: value, heapBytes: -value }));

  it.each([
    ['nothing', every10s(), 0],
    ['one sample', every10s(100), 0],
    ['a flat line after a rise', every10s(0, 50, 100, 100, 100, 100, 100, 100, 100), 0],
    ['a leak of 10 bytes in 10 s', every10s(0, 10, 20, 30, 40, 50), 60],
    ['a fall', every10s(60, 50, 40, 30, 20, 10), -60],
    ['noise around a level', every10s(0, 0, 7, 3, 3, 7), 0],
  ])('of %s', (_what, samples, slope) => {
    expect(slopePerMinute(samples)).toBeCloseTo(slope, 6);
    expect(slopePerMinute(samples, 'heapBytes')).toBeCloseTo(-slope, 6);
  });
});

describe('level memory', () => {
  const mib = 1024 * 1024;
  const everyMinute = (minutes: number, mibPerMinute: number) =>
    Array.from({ length: minutes }, (_, i) => ({
      ...{ atMs: i * 60_000, bytes: i * mibPerMinute * mib, heapBytes: 0 },
    }));

  it.each([
    [5, 0.5, true],
    [5, 1.5, false],
    [30, 0.1, true],
    [30, 0.2, false],
    [30, -1, true],
    [1, 0, true],
  ])('of %i minutes with %d MiB more in each: %s', (minutes, mibPerMinute, expected) => {
    expect(isLevel(everyMinute(minutes, mibPerMinute))).toBe(expected);
  });
});

describe('random choices', () => {
  it('are the same for the same seed, and spread', () => {
    const draw = (seed: number) => {
      const random = createRandom(seed);
      return Array.from({ length: 1000 }, () => random.integer(0, 10));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    for (let digit = 0; digit < 10; digit += 1) {
      const count = draw(7).filter((value) => value === digit).length;
      expect(count).toBeGreaterThan(60);
      expect(count).toBeLessThan(140);
    }
  });
});

describe('the endless block', () => {
  it('is recognised from any place, also across its end', () => {
    const twice = Buffer.concat([block, block]);
    for (const offset of [0, 1, 65_535, block.length - 3, block.length + 17]) {
      const chunk = twice.subarray(offset % block.length).subarray(0, 70_000);
      expect(() => expectBlock(chunk, offset)).not.toThrow();
      expect(() => expectBlock(chunk, offset + 1)).toThrow(/wrong bytes after/);
    }
    expect(blockAt(block.length - 3, 100)).toHaveLength(3);
  });

  it('shows a single byte that is wrong', () => {
    const chunk = Buffer.from(block.subarray(100, 5_000));
    chunk[4_000] = (chunk[4_000] ?? 0) ^ 1;
    expect(() => expectBlock(chunk, 100)).toThrow(/wrong bytes/);
  });
});

describe('options', () => {
  it('have defaults and a seed that is drawn', () => {
    expect(parseSoakOptions([], () => 42)).toEqual({ minutes: 30, seed: 42 });
    expect(parseSoakOptions(['--seed', '7', '--minutes', '1.5'], () => 42)).toEqual({
      minutes: 1.5,
      seed: 7,
    });
  });

  it.each([
    [['--minutes', '0'], /--minutes takes 1 or more, not "0"/],
    [['--minutes', 'long'], /--minutes takes/],
    [['--seed', '-1'], /--seed/],
    [['--seed', '4294967296'], /--seed takes a whole number below 2\^32/],
    [['--wrong'], /--wrong/],
  ])('%j are refused by name', (args, message) => {
    expect(() => parseSoakOptions(args, () => 0)).toThrow(message);
  });
});
