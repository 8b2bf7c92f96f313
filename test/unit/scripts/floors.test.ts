import { describe, expect, test } from 'vitest';
import {
  renderTotals,
  selectRun,
  type Totals,
  totalsOf,
  type VitestReport,
} from '../../../scripts/floors.ts';

const none = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };

function report(changes: Partial<VitestReport>): VitestReport {
  return { ...none, testResults: [], ...changes };
}

describe('selectRun', () => {
  test('without arguments takes everything', () => {
    const everything = selectRun([]);
    expect(everything.wantsChecks).toBe(true);
    expect(everything.floors.map((floor) => floor.name)).toEqual(['unit', 'integration', 'e2e']);
  });

  test.each([
    ['unit', 'unit', []],
    ['./test/unit/', 'unit', []],
    ['test/unit/config', 'unit', ['unit/config']],
    ['e2e/join', 'e2e', ['e2e/join']],
  ] as const)('%s is on one floor', (argument, name, filters) => {
    expect(selectRun([argument]).floors).toEqual([{ name, filters }]);
  });

  test('a whole floor wins over a part of it', () => {
    expect(selectRun(['unit/config', 'unit']).floors).toEqual([{ name: 'unit', filters: [] }]);
  });

  test('looks for a path without a floor on every floor', () => {
    const { floors, wantsChecks } = selectRun(['supervisor']);
    expect(wantsChecks).toBe(false);
    expect(floors.map((floor) => floor.filters)).toEqual([
      ['supervisor'],
      ['supervisor'],
      ['supervisor'],
    ]);
  });

  test('check alone runs no floor', () => {
    expect(selectRun(['check'])).toEqual({ wantsChecks: true, floors: [] });
  });
});

describe('totalsOf', () => {
  const broken = { status: 'failed', assertionResults: [] };
  const failedTest = { status: 'failed', assertionResults: [{ status: 'failed' }] };

  test.each<[string, VitestReport | undefined, number | null, Totals]>([
    ['all passed', report({ numPassedTests: 3 }), 0, { passed: 3, failed: 0, skipped: 0 }],
    [
      'a failed test is counted once',
      report({ numPassedTests: 1, numFailedTests: 1, testResults: [failedTest] }),
      1,
      { passed: 1, failed: 1, skipped: 0 },
    ],
    [
      'a file that does not load is a failure',
      report({ numPassedTests: 2, testResults: [broken] }),
      1,
      { passed: 2, failed: 1, skipped: 0 },
    ],
    [
      'an unhandled rejection is a failure',
      report({ numPassedTests: 2 }),
      1,
      { passed: 2, failed: 1, skipped: 0 },
    ],
    ['a killed runner is a failure', report({}), null, { passed: 0, failed: 1, skipped: 0 }],
    ['a runner without a report is a failure', undefined, 1, { passed: 0, failed: 1, skipped: 0 }],
    ['nothing found', undefined, 0, { passed: 0, failed: 0, skipped: 0 }],
    [
      'skipped and todo',
      report({ numPassedTests: 1, numPendingTests: 2, numTodoTests: 1 }),
      0,
      { passed: 1, failed: 0, skipped: 3 },
    ],
  ])('%s', (_name, given, exitCode, totals) => {
    expect(totalsOf(given, exitCode)).toEqual(totals);
  });
});

test('renderTotals names skipped tests only when there are some', () => {
  expect(renderTotals({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed');
  expect(renderTotals({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
});
