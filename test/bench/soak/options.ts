import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../../../src/base/errors.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
}

/** `drawSeed`: from 0 to 2^32 − 1, for when none is given. @throws UserError that names the option. */
export function parseSoakOptions(args: readonly string[], drawSeed: () => number): SoakOptions {
  const values = parseValues(args);
  const minutes = Number(values.minutes);
  if (!(minutes >= 1)) throw usageError(`--minutes takes 1 or more, not "${values.minutes}"`);
  const seed = values.seed === undefined ? drawSeed() : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw usageError(`--seed takes a whole number below 2^32, not "${values.seed}"`);
  }
  return { minutes, seed };
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '30' },
        seed: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw usageError(errorMessage(error));
  }
}

function usageError(why: string): UserError {
  return new UserError({ what: 'soak the tunnel', why, fix: 'scripts/soak-tunnel --help' });
}
