import type { Totals } from '../floors.ts';
import type { StageReport, TestResult } from './ginkgo-report.ts';
import type { NodeRecord } from './node-watch.ts';

/** In the output directory, for ./scripts/test: its totals. */
export const RESULT_FILE = 'result.json';

/** One stage: what was to run, and what did. */
export interface StageOutcome {
  readonly name: string;
  /** Names, as the suite itself gives them. */
  readonly expected: readonly string[];
  readonly report: StageReport;
  readonly elapsedMs: number;
}

export interface RunOutcome {
  readonly stages: readonly StageOutcome[];
  /** The number of all conformance tests by the suite's own list; undefined when only some were asked for. */
  readonly suiteCount: number | undefined;
  readonly nodes: readonly NodeRecord[];
  readonly elapsedMs: number;
}

export interface Verdict {
  readonly passed: number;
  readonly expected: number;
  readonly failures: readonly TestResult[];
  /** What makes the run count as failed besides failed tests. */
  readonly problems: readonly string[];
  readonly hasPassed: boolean;
}

/** A run has passed when every test that was to run did run, and passed. */
export function judgeRun({ stages, suiteCount }: RunOutcome): Verdict {
  const results = stages.flatMap(({ report }) => report.results);
  const failures = results.filter(({ hasPassed }) => !hasPassed);
  const expected = stages.reduce((sum, stage) => sum + stage.expected.length, 0);
  const problems = [
    ...stages.flatMap(({ name, report }) => report.problems.map((why) => `${name}: ${why}`)),
    ...stages.flatMap(missingTests),
    ...(suiteCount === undefined || suiteCount === expected
      ? []
      : [`the suite has ${suiteCount} conformance tests, but ${expected} were selected`]),
    ...(expected === 0 ? ['no test was selected'] : []),
  ];
  return {
    passed: results.length - failures.length,
    expected,
    failures,
    problems,
    hasPassed: failures.length === 0 && problems.length === 0,
  };
}

function missingTests({ name, expected, report }: StageOutcome): readonly string[] {
  const ran = new Set(report.results.map((result) => result.name));
  const missing = expected.filter((test) => !ran.has(test));
  const [first] = missing;
  if (first === undefined) return [];
  return [`${name}: ${missing.length} of ${expected.length} tests did not run, such as ${first}`];
}

/** As ./scripts/test counts: what is wrong with the whole run is a failure each. */
export function totalsOf({ passed, failures, problems }: Verdict): Totals {
  return { passed, failed: failures.length + problems.length, skipped: 0 };
}

export interface AreaTotals {
  readonly area: string;
  readonly passed: number;
  readonly failed: number;
  /** Of all its tests, one after the other. */
  readonly elapsedMs: number;
}

/** Sorted by name. */
export function totalsByArea(results: readonly TestResult[]): readonly AreaTotals[] {
  const groups = Map.groupBy(results, ({ area }) => area);
  return [...groups]
    .map(([area, group]) => ({
      area,
      passed: group.filter(({ hasPassed }) => hasPassed).length,
      failed: group.filter(({ hasPassed }) => !hasPassed).length,
      elapsedMs: group.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0),
    }))
    .toSorted((a, b) => (a.area < b.area ? -1 : 1));
}

/** The tests that took longest. */
export function slowest(results: readonly TestResult[], count: number): readonly TestResult[] {
  return results.toSorted((a, b) => b.elapsedMs - a.elapsedMs).slice(0, count);
}
