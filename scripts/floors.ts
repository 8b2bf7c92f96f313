// What `./scripts/test` decides without running anything: which floors, and what a report adds up to.
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';

export const FLOORS = ['unit', 'integration', 'e2e'] as const;

export type Floor = (typeof FLOORS)[number];

export interface Selection {
  readonly wantsChecks: boolean;
  /** In running order; `filters` are parts of paths as vitest takes them, empty for the whole floor. */
  readonly floors: readonly { readonly name: Floor; readonly filters: readonly string[] }[];
}

/** Reads the arguments: nothing, `check`, names of floors, paths. A path that names no floor is looked for on all. */
export function selectRun(args: readonly string[]): Selection {
  const targets = args.length === 0 ? ['check', ...FLOORS] : args.map(trimPath);
  const floors = FLOORS.flatMap((name) => {
    if (targets.includes(name)) return [{ name, filters: [] }];
    const filters = targets.filter((target) => target !== 'check' && isMaybeOn(target, name));
    return filters.length === 0 ? [] : [{ name, filters }];
  });
  return { wantsChecks: targets.includes('check'), floors };
}

function trimPath(argument: string): string {
  return argument
    .replace(/^\.\//, '')
    .replace(/^test\//, '')
    .replace(/\/$/, '');
}

function isMaybeOn(target: string, floor: Floor): boolean {
  const named = FLOORS.find((name) => target === name || target.startsWith(`${name}/`));
  return named === undefined || named === floor;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const NOTHING: Totals = { passed: 0, failed: 0, skipped: 0 };

export function addTotals(a: Totals, b: Totals): Totals {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

/** `12 passed, 0 failed`, and `, 3 skipped` when there are any. */
export function renderTotals(totals: Totals): string {
  const skipped = totals.skipped === 0 ? '' : `, ${totals.skipped} skipped`;
  return `${totals.passed} passed, ${totals.failed} failed${skipped}`;
}

/** The part of vitest's JSON report that is read here. */
export interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    /** The file's absolute path. */
    readonly name: string;
    readonly status: string;
    /** Why the file could not be loaded; empty when it was. */
    readonly message: string;
    readonly assertionResults: readonly TestResult[];
  }[];
}

interface TestResult {
  readonly status: string;
  /** The names of its describes and its own, with blanks between them. */
  readonly fullName: string;
  /** With stack traces. */
  readonly failureMessages?: readonly string[] | null;
}

/**
 * Adds up one floor. A file that could not be loaded, a failed hook, an unhandled rejection and a crash
 * have no failed test of their own: each still counts as a failure.
 */
export function totalsOf(report: VitestReport | undefined, exitCode: number | null): Totals {
  if (report === undefined) return { ...NOTHING, failed: exitCode === 0 ? 0 : 1 };
  const brokenFiles = report.testResults.filter(
    (file) =>
      file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  );
  const failed = report.numFailedTests + brokenFiles.length;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/**
 * A line for each failed test and each file that could not be loaded, with the first line of the reason. They are
 * printed once more at the very end: of a long log often only that is kept.
 * @param root what the paths of files are shown relative to.
 */
export function failuresOf(report: VitestReport | undefined, root: string): readonly string[] {
  return (report?.testResults ?? []).flatMap((file) => {
    const name = path.relative(root, file.name);
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    if (failed.length > 0) {
      return failed.map(
        (test) => `${name}: ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`,
      );
    }
    return file.status === 'failed' ? [`${name}: ${firstLine(file.message)}`] : [];
  });
}

function firstLine(text: string | undefined): string {
  return (
    stripVTControlCharacters(text ?? '')
      .trim()
      .split('\n', 1)[0] || 'no reason was given'
  );
}
