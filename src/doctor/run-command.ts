import { execFile } from 'node:child_process';

export type CommandOutcome =
  | { readonly type: 'succeeded'; readonly stdout: string }
  | { readonly type: 'failed'; readonly exitCode: number; readonly message: string }
  /** There is no such program. */
  | { readonly type: 'missing' };

/** A shell's own PATH may lack the directories of administration. */
const administrationPath = '/usr/local/sbin:/usr/sbin:/sbin';
/** Each of these commands takes milliseconds; loading a kernel module from an SD card takes some more. */
const timeoutMs = 10_000;

/** Runs a program to its end. Whatever becomes of it is an answer. */
export function runCommand(
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const env = {
    ...process.env,
    PATH: `${process.env['PATH'] ?? ''}:${administrationPath}`,
    LC_ALL: 'C',
  };
  return new Promise((resolve, reject) => {
    const options = { env, signal, timeout: timeoutMs, killSignal: 'SIGKILL' } as const;
    execFile(command, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve({ type: 'succeeded', stdout });
      else if (signal.aborted) reject(signal.reason);
      else if (error.code === 'ENOENT') resolve({ type: 'missing' });
      else {
        const exitCode = typeof error.code === 'number' ? error.code : 128;
        resolve({ type: 'failed', exitCode, message: firstLine(stderr) ?? error.message });
      }
    });
  });
}

/** What follows it are hints, or the place in a text that nobody has seen. */
function firstLine(text: string): string | undefined {
  const line = text.trim().split('\n')[0]?.trim();
  return line === '' ? undefined : line;
}
