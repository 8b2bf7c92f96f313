import { describe, expect, test } from 'vitest';
import {
  failuresOf,
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
  const file = { name: '/root/test/unit/a.test.ts', message: '' };
  const broken = { ...file, status: 'failed', assertionResults: [] };
  const failedTest = {
    ...file,
    status: 'failed',
    assertionResults: [{ status: 'failed', fullName: 'a' }],
  };

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

describe('failuresOf', () => {
  const file = { name: '/root/test/unit/a.test.ts', message: '' };
  const passed = { status: 'passed', fullName: 'a works', failureMessages: [] };

  test('names failed tests with the first line of the reason, without colours', () => {
    const failureMessages = [
      '\u001B[31mAssertionError: expected 1 to be 2\u001B[39m\n    at a.ts:1',
    ];
    const failed = { status: 'failed', fullName: 'a breaks', failureMessages };
    const results = [{ ...file, status: 'failed', assertionResults: [passed, failed] }];
    expect(failuresOf(report({ testResults: results }), '/root')).toEqual([
      'test/unit/a.test.ts: a breaks: AssertionError: expected 1 to be 2',
    ]);
  });

  test('names a file that could not be loaded', () => {
    const broken = {
      ...file,
      message: 'Cannot find module',
      status: 'failed',
      assertionResults: [],
    };
    expect(failuresOf(report({ testResults: [broken] }), '/root')).toEqual([
      'test/unit/a.test.ts: Cannot find module',
    ]);
  });

  test('is silent about what passed, and without a report', () => {
    const results = [{ ...file, status: 'passed', assertionResults: [passed] }];
    expect(failuresOf(report({ testResults: results }), '/root')).toEqual([]);
    expect(failuresOf(undefined, '/root')).toEqual([]);
  });
});
