// Types, format and lint, typed lint, unused code: one line each, the tool's own words only when it fails.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

interface Check {
  readonly name: string;
  /** Script below node_modules, run by this Node. */
  readonly script: string;
  readonly args: readonly string[];
}

const CHECKS: readonly Check[] = [
  { name: 'types', script: 'typescript/bin/tsc', args: ['-p', '.'] },
  {
    name: 'format and lint',
    script: '@biomejs/biome/bin/biome',
    args: ['ci', '--colors=off', '--max-diagnostics=100'],
  },
  {
    name: 'typed lint',
    script: 'oxlint/bin/oxlint',
    // The folders of tsconfig.json: a file outside of its program makes the typed linter stop.
    args: ['--type-aware', '--deny-warnings', 'src', 'scripts', 'test', 'vitest.config.ts'],
  },
  { name: 'unused code', script: 'knip/bin/knip.js', args: ['--no-config-hints'] },
];

export interface CheckTotals {
  readonly passed: number;
  readonly failed: number;
}

/** Runs every check, also after one failed. */
export function runChecks(): CheckTotals {
  const results = CHECKS.map(runCheck);
  const passed = results.filter(Boolean).length;
  return { passed, failed: results.length - passed };
}

function runCheck(check: Check): boolean {
  const root = path.resolve(import.meta.dirname, '..');
  const started = performance.now();
  const result = spawnSync(
    process.execPath,
    [path.join(root, 'node_modules', check.script), ...check.args],
    { cwd: root, encoding: 'utf8' },
  );
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const hasPassed = result.status === 0;
  console.log(`${hasPassed ? '✓' : '✗'} ${check.name} (${seconds} s)`);
  if (!hasPassed) console.log(`${result.error?.message ?? ''}${result.stdout}${result.stderr}`);
  return hasPassed;
}

if (import.meta.main) process.exitCode = runChecks().failed === 0 ? 0 : 1;
