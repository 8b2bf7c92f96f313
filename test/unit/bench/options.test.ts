import { describe, expect, test } from 'vitest';
import { parseBenchOptions } from '../../bench/options.ts';

const parse = (...args: string[]) => parseBenchOptions(args, '/checkout');

describe('options of the benchmark', () => {
  test('without arguments everything is measured three times, without a baseline', () => {
    expect(parse()).toEqual({
      runs: 3,
      idleMinutes: 5,
      parts: ['start', 'idle', 'cli', 'worker', 'install'],
      baseline: undefined,
      output: '/checkout/dist/bench.json',
    });
  });

  test('a baseline is upstream defaults or the path of an executable', () => {
    expect(parse('--baseline', 'upstream-defaults').baseline).toEqual({
      kind: 'upstream-defaults',
    });
    expect(parse('--baseline', '/old/mini-k8s').baseline).toEqual({
      kind: 'executable',
      path: '/old/mini-k8s',
    });
  });

  test.each([
    [['--runs', '0'], '--runs takes a whole number from 1 on, not "0"'],
    [['--runs', '1.5'], '--runs takes a whole number from 1 on, not "1.5"'],
    [['--idle-minutes', ''], '--idle-minutes takes a number from 0.25 on, not ""'],
    [['--only', 'stop'], '--only takes start, idle, cli, worker, install, not "stop"'],
    [['--baseline', 'upsteam'], '--baseline takes upstream-defaults or the path'],
    [['--faster'], "Unknown option '--faster'"],
  ])('%j is refused by name', (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });
});
