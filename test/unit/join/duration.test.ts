import { describe, expect, it } from 'vitest';
import { parseTtl, renderDuration } from '../../../src/join/duration.ts';

describe('--ttl', () => {
  it.each([
    ['30m', 1_800_000],
    ['1h', 3_600_000],
    ['1d12h', 129_600_000],
    ['60s', 60_000],
    ['30d', 2_592_000_000],
  ])('%s', (text, ms) => {
    expect(parseTtl(text)).toBe(ms);
  });

  it.each([
    ['', 'not a duration'],
    ['1', 'not a duration'],
    ['1 h', 'not a duration'],
    ['-1h', 'not a duration'],
    ['1y', 'not a duration'],
    ['1hour', 'not a duration'],
    ['0s', 'shorter than one minute'],
    ['59s', 'shorter than one minute'],
    ['31d', 'longer than 30 days'],
    ['999999d', 'longer than 30 days'],
  ])('refuses "%s"', (text, why) => {
    expect(() => parseTtl(text)).toThrow(why);
  });
});

describe('renderDuration', () => {
  it.each([
    [3_600_000, '1h'],
    [3_599_999, '59m 59s'],
    [90_061_000, '1d 1h'],
    [86_400_000 * 7, '7d'],
    [86_460_000, '1d'],
    [999, 'now'],
    [-5, 'now'],
  ])('%i ms is %s', (ms, text) => {
    expect(renderDuration(ms)).toBe(text);
  });
});
