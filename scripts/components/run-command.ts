import { execa } from 'execa';

export interface RunOptions {
  readonly cwd?: string;
  /** Replaces the whole environment when given. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** Undefined when it could not be started or was ended by a signal. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** `ENOENT` when there is no such program. */
  readonly errorCode: string | undefined;
}

/**
 * Runs a program to its end and returns what it said, whatever its exit code.
 * @throws the signal's reason when it aborts; the program has ended then.
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<CommandResult> {
  const result = await execa(program, args, {
    reject: false,
    stripFinalNewline: true,
    maxBuffer: 4 * 1024 * 1024,
    stdin: 'ignore',
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env, extendEnv: false }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  options.signal?.throwIfAborted();
  return {
    exitCode: result.exitCode,
    stdout: result.stdout,
    stderr: result.stderr,
    errorCode: result.code,
  };
}

/** The last lines of a program's output, indented, for the person who has to mend it. */
export function lastLines(text: string, count: number): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n');
}
