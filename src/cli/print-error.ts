import { UserError, UserErrors } from '../base/errors.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

/** Exit codes: something the user can mend, wrong usage, a bug. */
export const exitCodes = { ok: 0, userError: 1, usage: 2, bug: 70 } as const;

/** Prints any error once, in one form, and says what the process exits with. */
export function printError(error: unknown, stderr: OutputStream): number {
  const errors = error instanceof UserErrors ? error.errors : [error];
  let exitCode: number = exitCodes.userError;
  for (const one of errors) {
    if (one instanceof UserError) {
      stderr.write(`${paint(stderr, 'red', 'error:')} ${one.message}\n`);
      if (one.fix !== undefined) stderr.write(`${paint(stderr, 'bold', 'fix:')} ${one.fix}\n`);
    } else {
      exitCode = exitCodes.bug;
      const text = one instanceof Error ? (one.stack ?? one.message) : String(one);
      stderr.write(`${paint(stderr, 'red', 'bug:')} ${text}\n`);
      stderr.write('This should not happen. Please report it with the lines above.\n');
    }
  }
  return exitCode;
}
