import { describe, expect, it } from 'vitest';
import type { TestResult } from '../../../../scripts/conformance-run/ginkgo-report.ts';
import { podRestartsOf, restartsOf } from '../../../../scripts/conformance-run/node-watch.ts';
import { renderSummary } from '../../../../scripts/conformance-run/render-summary.ts';
import {
  judgeRun,
  type RunOutcome,
  slowest,
  totalsByArea,
  totalsOf,
} from '../../../../scripts/conformance-run/summary.ts';

const result = (name: string, fields: Partial<TestResult> = {}): TestResult => ({
  ...{ name, area: 'node', hasPassed: true, elapsedMs: 1000, reason: '' },
  ...fields,
});

function outcomeOf(
  results: readonly TestResult[],
  fields: { expected?: readonly string[]; suiteCount?: number; problems?: readonly string[] } = {},
): RunOutcome {
  const expected = fields.expected ?? results.map(({ name }) => name);
  const report = { results, problems: fields.problems ?? [] };
  return {
    stages: [{ name: 'parallel', expected, report, elapsedMs: 90_000 }],
    suiteCount: fields.suiteCount,
    nodes: [
      {
        ...{ role: 'controller', size: '2 CPUs, 2048 MiB', peakBytes: 900 * 1024 ** 2 },
        oomKills: { ofNode: [], ofContainers: ['dd', 'dd'] },
        ...{ restarts: [], podRestarts: undefined },
      },
    ],
    elapsedMs: 90_000,
  };
}

describe('a run', () => {
  it('has passed when all tests that were to run did, and passed', () => {
    const outcome = outcomeOf([result('a'), result('b')], { suiteCount: 2 });
    expect(judgeRun(outcome)).toMatchObject({ passed: 2, expected: 2, hasPassed: true });
  });

  it.each([
    ['a test failed', outcomeOf([result('a', { hasPassed: false, reason: 'why' })])],
    ['a test did not run', outcomeOf([result('a')], { expected: ['a', 'b'] })],
    ['another ran instead', outcomeOf([result('c')], { expected: ['a'] })],
    ['the selection left some of the suite out', outcomeOf([result('a')], { suiteCount: 2 })],
    ['ginkgo says so', outcomeOf([result('a')], { problems: ['Interrupted by Timeout'] })],
    ['there was nothing to run', outcomeOf([])],
  ])('has not passed when %s', (_why, outcome) => {
    expect(judgeRun(outcome).hasPassed).toBe(false);
  });

  it('counts what is wrong with the whole as a failure each', () => {
    const failed = result('a', { hasPassed: false, reason: 'why' });
    const outcome = outcomeOf([failed, result('b')], { problems: ['Interrupted by Timeout'] });
    expect(totalsOf(judgeRun(outcome))).toEqual({ passed: 1, failed: 2, skipped: 0 });
  });

  it('names what did not run', () => {
    const { problems } = judgeRun(outcomeOf([result('a')], { expected: ['a', 'b', 'c'] }));
    expect(problems).toEqual(['parallel: 2 of 3 tests did not run, such as b']);
  });
});

describe('the summary', () => {
  it('adds up by area, and finds the slowest', () => {
    const results = [
      result('a', { area: 'node', elapsedMs: 5 }),
      result('b', { area: 'cli', elapsedMs: 9, hasPassed: false }),
      result('c', { area: 'node', elapsedMs: 7 }),
    ];
    expect(totalsByArea(results)).toEqual([
      { area: 'cli', passed: 0, failed: 1, elapsedMs: 9 },
      { area: 'node', passed: 2, failed: 0, elapsedMs: 12 },
    ]);
    expect(slowest(results, 2).map(({ name }) => name)).toEqual(['b', 'c']);
  });

  it('has every failure with its reason, and the count at the end', () => {
    const failed = result('[sig-node] b', { hasPassed: false, reason: 'no pod' });
    const text = renderSummary(
      {
        ...{ command: './scripts/conformance', versions: 'mini-k8s 1', machine: '2 CPUs' },
        startedAt: new Date(0),
      },
      outcomeOf([result('[sig-node] a'), failed]),
    );
    expect(text).toContain('- 1970-01-01T00:00Z, `./scripts/conformance`, 1.5 min');
    expect(text).toContain('| node | 1 | 1 | 0.0 min |');
    expect(text).toContain('| controller | 900 MiB | 0 | dd × 2 | 0 | not known |');
    expect(text).toContain('- failed: [sig-node] b\n  no pod');
    expect(text.trimEnd().endsWith('**1 of 2 passed in 1.5 min.**')).toBe(true);
  });
});

describe('restarts', () => {
  it('are named once for each, of components', () => {
    const state = { type: 'Waiting', reason: 'DependencyNotReady', message: '' } as const;
    const components = [
      { name: 'etcd', state, restartCount: 0, lastOutput: [] },
      { name: 'kubelet', state, restartCount: 2, lastOutput: [] },
    ];
    expect(restartsOf({ components })).toEqual(['kubelet', 'kubelet']);
  });

  it('and of the containers of one node', () => {
    const pod = (nodeName: string, restartCount: number) => ({
      spec: { nodeName },
      status: { containerStatuses: [{ name: 'coredns', restartCount }] },
    });
    const pods = { items: [pod('a', 1), pod('b', 3), { spec: {}, status: {} }] };
    expect(podRestartsOf(pods, 'a')).toEqual(['coredns']);
  });
});
