import { statSync } from 'node:fs';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';

/** Says why the kernel would not execute a file, since "ENOENT" alone sends people the wrong way. */
export function explainSpawnError(name: string, executable: string, error: unknown): UserError {
  const what = `start ${name}`;
  const mode = fileMode(executable);
  switch (errorCode(error)) {
    case 'ENOENT':
      return mode === undefined
        ? new UserError({ what, why: `${executable} does not exist (ENOENT)`, cause: error })
        : new UserError({
            what,
            why: `${executable} exists, but not the dynamic loader or interpreter that it names (ENOENT)`,
            fix: 'use a system with glibc 2.28 or newer, or an executable built for this system',
            cause: error,
          });
    case 'EACCES':
      return new UserError({
        what,
        why: `${executable} may not be executed (EACCES, mode ${mode?.toString(8) ?? 'unknown'})`,
        fix: `chmod 755 ${executable}, and mount its file system without noexec`,
        cause: error,
      });
    default:
      return new UserError({ what, why: `${executable}: ${errorMessage(error)}`, cause: error });
  }
}

/** Permission bits; undefined when there is no such file. */
function fileMode(file: string): number | undefined {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? undefined : stats.mode & 0o7777;
}
