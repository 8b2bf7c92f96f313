import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../../../src/base/errors.ts';
import { type Measurement, measurements } from './measurements.ts';

export interface BenchTunnelOptions {
  readonly rounds: number;
  readonly measurements: readonly Measurement[];
  readonly wantsPeer: boolean;
  /** More flags of Node.js for our two ends; a later one of V8 wins against an earlier one. */
  readonly nodeOptions: readonly string[];
  /** Absolute path of the results. */
  readonly output: string;
}

/** @throws UserError that names the option. */
export function parseBenchTunnelOptions(args: readonly string[], root: string): BenchTunnelOptions {
  const values = parseValues(args);
  return {
    rounds: parseRounds(values.rounds),
    measurements: selectMeasurements(values.only ?? []),
    wantsPeer: !values['ours-only'],
    nodeOptions: values['node-option'] ?? [],
    output: path.resolve(root, values.output),
  };
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1) return rounds;
  throw usageError(`--rounds takes a whole number from 1 on, not "${text}"`);
}

function selectMeasurements(wanted: readonly string[]): readonly Measurement[] {
  if (wanted.length === 0) return measurements;
  const names = measurements.map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown === undefined) return measurements.filter(({ name }) => wanted.includes(name));
  throw usageError(`--only takes ${names.join(', ')}, not "${unknown}"`);
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string', default: '3' },
        only: { type: 'string', multiple: true },
        'ours-only': { type: 'boolean', default: false },
        'node-option': { type: 'string', multiple: true },
        output: { type: 'string', default: 'dist/bench-tunnel.json' },
      },
    }).values;
  } catch (error) {
    throw usageError(errorMessage(error));
  }
}

function usageError(why: string): UserError {
  return new UserError({
    what: 'run the benchmark of the tunnel',
    why,
    fix: 'scripts/bench-tunnel --help',
  });
}
