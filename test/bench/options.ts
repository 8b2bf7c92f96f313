import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../../src/base/errors.ts';

export const PARTS = ['start', 'idle', 'cli', 'worker', 'install'] as const;

export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  readonly runs: number;
  readonly idleMinutes: number;
  readonly parts: readonly Part[];
  /** What to alternate with: upstream's defaults in the same executable, or another executable. */
  readonly baseline:
    | { readonly kind: 'upstream-defaults' }
    | { readonly kind: 'executable'; readonly path: string }
    | undefined;
  /** Absolute path of the results. */
  readonly output: string;
}

/** @throws UserError that names the option. */
export function parseBenchOptions(args: readonly string[], root: string): BenchOptions {
  const values = parseValues(args);
  return {
    runs: parseNumber('--runs', values.runs, { least: 1, isWhole: true }),
    idleMinutes: parseNumber('--idle-minutes', values['idle-minutes'], { least: 0.25 }),
    parts: values.only === undefined ? PARTS : [parsePart(values.only)],
    baseline: parseBaseline(values.baseline),
    output: path.resolve(root, values.output),
  };
}

function parseBaseline(text: string | undefined): BenchOptions['baseline'] {
  if (text === undefined) return undefined;
  if (text === 'upstream-defaults') return { kind: 'upstream-defaults' };
  if (text.includes('/')) return { kind: 'executable', path: path.resolve(text) };
  throw usageError(
    `--baseline takes upstream-defaults or the path of another mini-k8s, not "${text}"`,
  );
}

function parsePart(text: string): Part {
  const part = PARTS.find((name) => name === text);
  if (part !== undefined) return part;
  throw usageError(`--only takes ${PARTS.join(', ')}, not "${text}"`);
}

function parseNumber(
  option: string,
  text: string,
  limits: { readonly least: number; readonly isWhole?: boolean },
): number {
  const value = Number(text);
  const isShaped = limits.isWhole === true ? Number.isInteger(value) : Number.isFinite(value);
  if (text.trim() !== '' && isShaped && value >= limits.least) return value;
  const kind = limits.isWhole === true ? 'a whole number' : 'a number';
  throw usageError(`${option} takes ${kind} from ${limits.least} on, not "${text}"`);
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        runs: { type: 'string', default: '3' },
        'idle-minutes': { type: 'string', default: '5' },
        only: { type: 'string' },
        baseline: { type: 'string' },
        output: { type: 'string', default: 'dist/bench.json' },
      },
    }).values;
  } catch (error) {
    throw usageError(errorMessage(error));
  }
}

function usageError(why: string): UserError {
  return new UserError({ what: 'run the benchmark', why, fix: 'scripts/bench --help' });
}
