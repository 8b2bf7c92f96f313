import { execa } from 'execa';

export interface HostCommandOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
}

/**
 * Runs a command of the host and returns its stdout without the last newline.
 * @throws Error with the command line and stderr when it fails.
 */
export async function runOnHost(
  argv: readonly string[],
  options: HostCommandOptions = {},
): Promise<string> {
  const result = await tryOnHost(argv, options);
  if (result.exitCode === 0) return result.stdout;
  throw new Error(`${argv.join(' ')} failed (exit ${result.exitCode}): ${result.stderr}`);
}

/** Like `runOnHost`, for commands that are allowed to fail. Exit 127 when there is no such command. */
export async function tryOnHost(
  argv: readonly string[],
  options: HostCommandOptions = {},
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const [command = '', ...args] = argv;
  const result = await execa(command, args, {
    reject: false,
    timeout: options.timeoutMs ?? 60_000,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.input === undefined ? {} : { input: options.input }),
    // Debian's plain users have no sbin in PATH, sudo's secure_path does; be independent of both.
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: 'C' },
  });
  const isMissing = result.code === 'ENOENT';
  return {
    exitCode: result.exitCode ?? (isMissing ? 127 : 128),
    stdout: result.stdout,
    stderr: result.stderr === '' ? (result.shortMessage ?? '') : result.stderr,
  };
}
