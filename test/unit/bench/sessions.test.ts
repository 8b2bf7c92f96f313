import { describe, expect, it } from 'vitest';
import { summarizeDials } from '../../bench/sessions/dials.ts';
import { parseSessionBenchOptions } from '../../bench/sessions/options.ts';
import { mostPerSecond } from '../../bench/sessions/rush.ts';

describe('the most connections in one second', () => {
  const at = (...pairs: [atMs: number, connections: number][]) =>
    pairs.map(([atMs, connections]) => ({ atMs, connections }));

  it.each([
    ['nothing', at([0, 0]), 0],
    ['a burst between two looks', at([0, 0], [250, 300], [500, 300], [2000, 300]), 300],
    ['a second across looks', at([0, 0], [500, 10], [1000, 110], [1500, 210], [2000, 215]), 200],
    ['looks that came late', at([0, 0], [4000, 400], [8000, 400]), 100],
    ['an even stream', at([0, 0], [1000, 50], [2000, 100], [3000, 150]), 50],
  ])('are found in %s', (_what, arrivals, most) => {
    expect(mostPerSecond(arrivals)).toBe(most);
  });
});

describe('dials at once', () => {
  it('are summed up by time, and by the text of those that failed', () => {
    const times = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(summarizeDials([...times, 'EAGAIN', 'EAGAIN', 'HTTP/1.1 503 busy'])).toEqual({
      ...{ asked: 103, answered: 100, allMs: 100, p50Ms: 51, p99Ms: 100 },
      failures: { EAGAIN: 2, 'HTTP/1.1 503 busy': 1 },
    });
  });

  it('that all failed have no time', () => {
    expect(summarizeDials(['EAGAIN'])).toMatchObject({ answered: 0, allMs: 0, p99Ms: 0 });
  });
});

describe('options', () => {
  it('have defaults', () => {
    expect(parseSessionBenchOptions([], '/x')).toEqual({
      ...{ agents: 10_000, restartAgents: 1000, idleSeconds: 60, dials: 1000 },
      output: '/x/dist/bench-sessions.json',
    });
  });

  it.each([
    [['--agents', 'many'], /--agents takes a whole number from 1 on, not "many"/],
    [['--dials', '0'], /--dials takes/],
    [['--idle-seconds', '1.5'], /--idle-seconds takes/],
    [['--wrong'], /--wrong/],
  ])('%j are refused by name', (args, message) => {
    expect(() => parseSessionBenchOptions(args, '/x')).toThrow(message);
  });
});
