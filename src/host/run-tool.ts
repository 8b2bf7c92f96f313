import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a tool of the machine with `input` on its stdin and returns its stdout.
 * @throws Error with what it said on stderr when it exits with anything but 0.
 */
export type ToolRunner = (
  command: string,
  args: readonly string[],
  input?: string,
) => Promise<string>;

/** No tool that only changes kernel tables takes longer, milliseconds. */
const timeoutMs = 60_000;

export const runTool: ToolRunner = async (command, args, input = '') => {
  const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // It may end without reading its input; its exit code says the rest.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (code === 0) return Buffer.concat(stdout).toString('utf8');
  const said = Buffer.concat(stderr).toString('utf8').trim();
  throw new Error(`${[command, ...args].join(' ')} failed (${code ?? signal}): ${said}`);
};

/**
 * What a tool lists, or undefined when it is not installed or this kernel lacks what it works on: then nothing of ours
 * can be there either.
 */
export async function toolOutput(
  run: ToolRunner,
  command: string,
  args: readonly string[],
): Promise<string | undefined> {
  return run(command, args).catch(() => undefined);
}
