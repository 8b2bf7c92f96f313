import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../../../src/base/errors.ts';

export interface SessionBenchOptions {
  /** Idle agents, and those that come back after the large restart. */
  readonly agents: number;
  /** Of the small restart. */
  readonly restartAgents: number;
  readonly idleSeconds: number;
  readonly dials: number;
  /** Absolute path of the results. */
  readonly output: string;
}

/** @throws UserError that names the option. */
export function parseSessionBenchOptions(
  args: readonly string[],
  root: string,
): SessionBenchOptions {
  const values = parseValues(args);
  return {
    agents: wholeNumber('--agents', values.agents),
    restartAgents: wholeNumber('--restart-agents', values['restart-agents']),
    idleSeconds: wholeNumber('--idle-seconds', values['idle-seconds']),
    dials: wholeNumber('--dials', values.dials),
    output: path.resolve(root, values.output),
  };
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value > 0) return value;
  throw usageError(`${option} takes a whole number from 1 on, not "${text}"`);
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        agents: { type: 'string', default: '10000' },
        'restart-agents': { type: 'string', default: '1000' },
        'idle-seconds': { type: 'string', default: '60' },
        dials: { type: 'string', default: '1000' },
        output: { type: 'string', default: 'dist/bench-sessions.json' },
      },
    }).values;
  } catch (error) {
    throw usageError(errorMessage(error));
  }
}

function usageError(why: string): UserError {
  return new UserError({
    what: 'run the benchmark of many agents',
    why,
    fix: 'scripts/bench-sessions --help',
  });
}
