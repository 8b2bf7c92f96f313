import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { errorCode, UserError } from '../base/errors.ts';

export interface RunToolOptions {
  readonly args: readonly string[];
  /** Written to its standard input as it reads; a chunk may be overwritten once the next one is asked for. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** For messages, after "Cannot": `list the images of containerd`. */
  readonly purpose: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What a tool may print before the rest is dropped. */
const maxOutputBytes = 1024 * 1024;

/**
 * Runs a short-lived executable to its end.
 * @throws UserError with its exit code and last words; the signal's reason when that aborts.
 */
export async function runTool(
  executable: string,
  options: RunToolOptions,
): Promise<{ readonly stdout: string }> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const child = spawn(executable, options.args, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    signal: AbortSignal.any([options.signal, timeout]),
    killSignal: 'SIGKILL',
    // Nothing of ours: NOTIFY_SOCKET and proxy settings would reach it otherwise.
    env: { PATH: process.env['PATH'] },
  });
  const results = await Promise.allSettled([
    ended(child),
    collect(child.stdout),
    collect(child.stderr),
    options.input !== undefined && child.stdin !== null
      ? feed(child.stdin, options.input)
      : undefined,
  ]);
  const [, stdout, stderr, input] = results;
  options.signal.throwIfAborted();
  const failure = results.find((result) => result.status === 'rejected');
  const words = stderr.status === 'fulfilled' ? lastLines(stderr.value) : '';
  if (child.exitCode !== 0) {
    throw new UserError({
      what: options.purpose,
      why: `${executable} ${describeEnd(child, timeout, failure?.reason)}${words === '' ? '' : `: ${words}`}`,
      cause: failure?.reason,
    });
  }
  // A tool that has all it needs may close its input before the end.
  if (input.status === 'rejected' && errorCode(input.reason) !== 'EPIPE') throw input.reason;
  return { stdout: stdout.status === 'fulfilled' ? stdout.value : '' };
}

/** Writes each chunk and waits until the kernel has it, so that the next may use the same memory. */
async function feed(stdin: Writable, input: AsyncIterable<Uint8Array>): Promise<void> {
  // A write that fails says so itself; the event alone would end this process.
  stdin.on('error', () => undefined);
  for await (const chunk of input) {
    await new Promise<void>((resolve, reject) => {
      stdin.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
  stdin.end();
}

/** The end of the process itself, also after an abort; the error is that of the abort or of a failed start. */
async function ended(child: ChildProcess): Promise<void> {
  const errors: Error[] = [];
  await new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.on('error', (error) => {
      errors.push(error);
      if (child.pid === undefined) resolve();
    });
  });
  if (errors[0] !== undefined) throw errors[0];
}

function describeEnd(
  child: { readonly exitCode: number | null; readonly signalCode: string | null },
  timeout: AbortSignal,
  reason: unknown,
): string {
  if (timeout.aborted) return 'did not end in time';
  if (child.exitCode !== null && child.exitCode >= 0)
    return `failed with exit code ${child.exitCode}`;
  if (child.signalCode !== null) return `was ended by ${child.signalCode}`;
  return `could not be started (${errorCode(reason) ?? String(reason)})`;
}

async function collect(stream: Readable | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) {
    if (text.length < maxOutputBytes) text += String(chunk);
  }
  return text;
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-3).join('; ');
}
