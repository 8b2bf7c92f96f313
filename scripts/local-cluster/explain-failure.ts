import { UserError, UserErrors } from '../../src/base/errors.ts';

/** Prints what went wrong and how to mend it; returns the exit code. Whatever no user can mend is thrown on. */
export function explainFailure(error: unknown, exitCode = 1): number {
  const errors = error instanceof UserErrors ? error.errors : [error];
  for (const problem of errors) {
    if (!(problem instanceof UserError)) throw problem;
    console.error(problem.message);
    if (problem.fix !== undefined) console.error(`fix: ${problem.fix}`);
  }
  return exitCode;
}
