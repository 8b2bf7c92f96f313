import { describe, expect, test } from 'vitest';
import {
  judge,
  type Metric,
  metrics,
  type Sample,
  summarizeSamples,
} from '../../bench/tunnel/metrics.ts';
import { parseBenchTunnelOptions } from '../../bench/tunnel/options.ts';
import { missedTargets, renderTable } from '../../bench/tunnel/render-table.ts';

const blocked = { problem: 'blocked > 30 s' };

describe('several rounds', () => {
  test.each<[string, Sample[], Sample | undefined]>([
    ['give their median', [3, 1, 2], 2],
    ['are blocked when most were', [1, blocked, blocked], blocked],
    ['are blocked when half were', [1, blocked], blocked],
    ['count by their numbers when few were', [1, blocked, 3], 2],
    ['say nothing when there were none', [], undefined],
  ])('%s', (_name, samples, expected) => {
    expect(summarizeSamples(samples)).toEqual(expected);
  });
});

describe('a target', () => {
  const metricWith = (kind: NonNullable<Metric['target']>['kind'], value: number): Metric => ({
    ...{ id: 'x', title: 'x', unit: 'x', decimals: 0 },
    target: { kind, value },
  });
  test.each<[string, Metric, Sample | undefined, Sample | undefined, object]>([
    ['at least, reached', metricWith('ratio-at-least', 1.5), 15, 10, { ratio: 1.5, isMet: true }],
    ['at least, missed', metricWith('ratio-at-least', 1.5), 14, 10, { ratio: 1.4, isMet: false }],
    ['at most, reached', metricWith('ratio-at-most', 0.5), 5, 10, { ratio: 0.5, isMet: true }],
    ['at most, missed', metricWith('ratio-at-most', 0.5), 6, 10, { ratio: 0.6, isMet: false }],
    ['below, reached whatever theirs is', metricWith('below', 20), 19, blocked, { isMet: true }],
    ['below, missed', metricWith('below', 20), 20, blocked, { isMet: false }],
    ['reached when theirs is blocked', metricWith('ratio-at-most', 1), 9, blocked, { isMet: true }],
    ['missed when ours is', metricWith('ratio-at-most', 1), blocked, blocked, { isMet: false }],
    ['open without theirs', metricWith('ratio-at-most', 1), 9, undefined, {}],
    ['open without ours', metricWith('ratio-at-most', 1), undefined, 9, {}],
  ])('%s', (_name, metric, ours, theirs, expected) => {
    expect(judge(metric, ours, theirs)).toEqual(expected);
  });
});

test('the table has a line for what was measured, and says what was missed', () => {
  const ours = new Map<string, Sample[]>([
    ['down-1', [300, 200, 250]],
    ['stalled-1', [0.5]],
    ['crowd', [2]],
  ]);
  const theirs = new Map<string, Sample[]>([
    ['down-1', [100, 110, 90]],
    ['stalled-1', [blocked]],
    ['crowd', [1]],
  ]);
  expect(renderTable(ours, theirs)).toBe(
    [
      '| metric | mini-k8s | Konnectivity | ratio | target |  |',
      '| --- | --- | --- | --- | --- | --- |',
      '| 1 stream down | 250 MB/s (200–300) | 100 MB/s (90–110) | 2.50× | ≥ 1.4× | met |',
      '| 1 stalled reader: added to others’ p99 | 0.5 ms | blocked > 30 s |  | < 20 ms | met |',
      '| 1000 streams at once | 2.00 s | 1.00 s | 2.00× | ≤ 1× | **missed** |',
    ].join('\n'),
  );
  expect(missedTargets(ours, theirs)).toEqual(['1000 streams at once']);
});

describe('arguments', () => {
  test('left out: three rounds of everything, with Konnectivity', () => {
    const options = parseBenchTunnelOptions([], '/checkout');
    expect(options).toMatchObject({
      ...{ rounds: 3, wantsPeer: true, nodeOptions: [] },
      output: '/checkout/dist/bench-tunnel.json',
    });
    const measured = new Set(options.measurements.flatMap((measurement) => measurement.metrics));
    const targets = metrics.filter(({ target }) => target !== undefined).map(({ id }) => id);
    expect(targets.filter((id) => !measured.has(id))).toEqual([]);
  });

  test('select measurements, in their own order', () => {
    const { measurements } = parseBenchTunnelOptions(['--only', 'echo', '--only', 'up-1'], '/');
    expect(measurements.map(({ name }) => name)).toEqual(['up-1', 'echo']);
  });

  test.each([['--only', 'down'], ['--rounds', '0'], ['--rounds', 'x'], ['--what']])(
    '%s %s is refused with the way out',
    (...args) => {
      expect(() => parseBenchTunnelOptions(args, '/')).toThrow(
        /^Cannot run the benchmark of the tunnel: /,
      );
    },
  );
});
