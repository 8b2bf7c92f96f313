// Runs the checks, the build and the test floors; the last line is the sum over all of them.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { runChecks } from './check.ts';
import { RESULT_FILE } from './conformance-run/summary.ts';
import {
  addTotals,
  failuresOf,
  NOTHING,
  renderTotals,
  type Selection,
  selectRun,
  type Totals,
  totalsOf,
  type VitestReport,
} from './floors.ts';

const USAGE = `Usage: ./scripts/test [check | unit | integration | e2e | <part of a test file's path>]...

Without arguments: everything. \`unit/config\` runs the files of test/unit/config.
MINI_K8S_COMPONENTS=<directory> takes the component executables from there instead of building them.
CONFORMANCE=1 adds the quick run of Kubernetes' conformance tests when everything is run (./scripts/conformance --quick).
CI=true makes missing root rights a failure instead of a skip.
`;

type FloorRun = Selection['floors'][number];

const ROOT = path.resolve(import.meta.dirname, '..');
const FAILURE: Totals = { ...NOTHING, failed: 1 };

/** What failed on the floors, a line each. */
const failures: string[] = [];

const args = process.argv.slice(2);
if (args.some((argument) => argument.startsWith('-'))) {
  console.log(USAGE);
  process.exitCode = args.includes('--help') || args.includes('-h') ? 0 : 2;
} else {
  process.exitCode = runAll(selectRun(args));
}

function runAll(selection: Selection): number {
  let totals: Totals = NOTHING;
  if (selection.wantsChecks) {
    printTitle('check');
    totals = addTotals(totals, { ...NOTHING, ...runChecks() });
  }
  const unit = selection.floors.filter((floor) => floor.name === 'unit');
  const real = selection.floors.filter((floor) => floor.name !== 'unit');
  for (const floor of unit) totals = addTotals(totals, runFloor(floor));
  if (real.length > 0) {
    const prepared = prepare();
    totals = addTotals(totals, prepared);
    for (const floor of real) totals = addTotals(totals, runPrepared(floor, prepared.failed === 0));
  }
  if (args.length === 0 && process.env.CONFORMANCE === '1') {
    totals = addTotals(totals, runConformance());
  }
  if (totals.passed + totals.failed === 0) {
    console.log('✗ no test ran');
    totals = FAILURE;
  }
  if (failures.length > 0)
    console.log(`\nFailed:\n${failures.map((line) => `  ${line}`).join('\n')}`);
  console.log(`\n${renderTotals(totals)}`);
  return totals.failed === 0 ? 0 : 1;
}

/** Makes what the floors with real programs need. A step that works is no test; one that fails is a failure. */
function prepare(): Totals {
  const build = runStep('build', process.execPath, ['scripts/build.ts']);
  if (process.env.MINI_K8S_COMPONENTS !== undefined) return build;
  process.env.MINI_K8S_COMPONENTS = componentDirectory();
  return addTotals(build, runStep('components', 'scripts/build-components', []));
}

function componentDirectory(): string {
  const cache = process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache');
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  return path.join(cache, 'mini-k8s', 'components', arch, 'bin');
}

function runStep(name: string, command: string, commandArgs: readonly string[]): Totals {
  printTitle(name);
  const started = performance.now();
  const result = spawnSync(command, commandArgs, { cwd: ROOT, stdio: 'inherit' });
  if (result.status === 0) {
    console.log(`✓ ${name} (${secondsSince(started)} s)`);
    return NOTHING;
  }
  const reason = result.error?.message ?? `exit code ${result.status}, signal ${result.signal}`;
  console.log(`✗ ${name}: ${reason}`);
  return FAILURE;
}

/** Eight minutes: by request only. */
function runConformance(): Totals {
  const output = path.join(ROOT, 'dist', 'conformance');
  const result = path.join(output, RESULT_FILE);
  rmSync(result, { force: true });
  const step = runStep('conformance', 'scripts/conformance', ['--quick', '--output', output]);
  if (!existsSync(result)) return FAILURE;
  const totals = JSON.parse(readFileSync(result, 'utf8')) as Totals;
  return step.failed > 0 && totals.failed === 0 ? addTotals(totals, step) : totals;
}

function runPrepared(floor: FloorRun, isPrepared: boolean): Totals {
  if (floor.name !== 'e2e') return runFloor(floor);
  if (process.getuid?.() !== 0) return refuseWithoutRoot(floor);
  if (isPrepared) return runFloor(floor);
  console.log('✗ e2e: not run, because the executable or the components are not there');
  return FAILURE;
}

/** Nodes under test are made of namespaces and cgroups, which needs root. */
function refuseWithoutRoot(floor: FloorRun): Totals {
  printTitle(floor.name);
  if (process.env.CI === 'true') {
    console.log('✗ e2e: needs root, and CI must not skip it');
    return FAILURE;
  }
  const listed = vitest(['list', '--json', '--project', floor.name, ...floor.filters], 'pipe');
  if (listed.status !== 0) {
    console.log('✗ e2e: its test files cannot be loaded');
    return FAILURE;
  }
  const tests = JSON.parse(listed.stdout) as readonly unknown[];
  console.log(`- e2e: ${tests.length} tests skipped: they need root (sudo ./scripts/test e2e)`);
  return { ...NOTHING, skipped: tests.length };
}

function runFloor(floor: FloorRun): Totals {
  printTitle(floor.name);
  const started = performance.now();
  const scratch = mkdtempSync(path.join(tmpdir(), 'mini-k8s-test-'));
  try {
    const file = path.join(scratch, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    // A filter is looked for on several floors; it must find something on one of them.
    const empty = floor.filters.length === 0 ? [] : ['--passWithNoTests'];
    // A forgotten test.only would silently leave the others out.
    const options = ['--project', floor.name, '--allowOnly=false', ...reporters, ...empty];
    const { status } = vitest(['run', ...options, ...floor.filters], 'inherit');
    const report = readReport(file);
    const totals = totalsOf(report, status);
    const named = failuresOf(report, ROOT);
    failures.push(...named);
    if (totals.failed > named.length) {
      failures.push(
        `${floor.name}: an error outside of its tests, printed at the end of that floor`,
      );
    }
    const mark = totals.failed === 0 ? '✓' : '✗';
    console.log(`${mark} ${floor.name}: ${renderTotals(totals)} (${secondsSince(started)} s)`);
    return totals;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function vitest(vitestArgs: readonly string[], stdout: 'inherit' | 'pipe') {
  const script = path.join(ROOT, 'node_modules/vitest/vitest.mjs');
  return spawnSync(process.execPath, [script, ...vitestArgs], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'inherit'],
  });
}

function readReport(file: string): VitestReport | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as VitestReport) : undefined;
}

function printTitle(name: string): void {
  console.log(`\n── ${name} ${'─'.repeat(70 - name.length)}`);
}

function secondsSince(started: number): string {
  return ((performance.now() - started) / 1000).toFixed(1);
}
