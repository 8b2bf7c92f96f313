import { isSea } from 'node:sea';

/** In the environment of a process that was started anew: it does not do so again. */
const marker = 'MINI_K8S_STARTED_ANEW';

/** Takes the marker out of the environment, so that no child has it. Returns whether it was there. */
export function takeMarker(env: Record<string, string | undefined>): boolean {
  const isThere = env[marker] !== undefined;
  delete env[marker];
  return isThere;
}

/**
 * Puts a fresh run of the same command into this process, which keeps its id, its terminal and its place under the
 * service manager: memory that a heap of the C library lost to fragmentation comes back in no other way.
 */
export function startAnew(): void {
  const [, script = '', ...args] = process.argv;
  const program = isSea() ? [] : [...process.execArgv, script];
  const { MINI_K8S_TOKEN: _token, ...env } = process.env;
  process.execve?.(process.execPath, [process.execPath, ...program, ...withoutToken(args)], {
    ...env,
    [marker]: '1',
  });
}

/** The token has done its work, and stdin was read. Pure. */
export function withoutToken(args: readonly string[]): string[] {
  return args.filter((argument, index) => {
    const isOption = /^--token(-file)?(=|$)/.test(argument);
    const isValue = /^--token(-file)?$/.test(args[index - 1] ?? '');
    return !isOption && !isValue;
  });
}
