import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { errorCode } from '../../../src/base/errors.ts';
import type {
  CommandOptions,
  CommandResult,
  NodeEntrance,
  NodeProcess,
  SpawnOptions,
} from './types.ts';

const NODE_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
};

const JOIN_AND_ENTER = `
while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done
shift
exec "$@"`;

/** The command line, for the host, that runs `argv` in the node. */
export function enterCommand(
  entrance: NodeEntrance,
  argv: readonly string[],
  cwd = '/',
): readonly string[] {
  const enter = ['nsenter', '--target', String(entrance.pid)];
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
  return [
    ...['/bin/sh', '-c', JOIN_AND_ENTER, 'enter-node', ...entrance.joinFiles, '--'],
    ...[...enter, ...namespaces, '--root', `--wdns=${cwd}`, '--', ...argv],
  ];
}

/** @throws Error with the output when the time is over. */
export async function execInNode(
  entrance: NodeEntrance,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = start(entrance, argv, options);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  // EPIPE: the command ended without reading its input; its exit code says the rest.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');
  const exitCode = await withTimeout(child, options.timeoutMs ?? 60_000);
  const result = { stdout: text(stdout), stderr: text(stderr) };
  if (exitCode !== undefined) return { exitCode, ...result };
  throw new Error(
    `${argv.join(' ')} in node ${entrance.name} took longer than ${(options.timeoutMs ?? 60_000) / 1000} s; it said: ${result.stdout}${result.stderr}`,
  );
}

/** The exit code, or undefined when the time was over; then it is killed, but not waited for: a frozen one cannot end. */
async function withTimeout(child: ChildProcess, timeoutMs: number): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      killGroup(child);
      resolve(undefined);
    }, timeoutMs);
  });
  try {
    return await Promise.race([exitOf(child, 'close'), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a command in the node and keeps the end of its output. */
export function spawnInNode(
  entrance: NodeEntrance,
  argv: readonly string[],
  options: SpawnOptions = {},
): NodeProcess {
  const child = start(entrance, argv, options);
  const keep = options.keepOutputBytes ?? 256 * 1024;
  let output = Buffer.alloc(0);
  let exitCode: number | undefined;
  const collect = (chunk: Buffer) => {
    output = Buffer.concat([output, chunk]).subarray(-keep);
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  child.stdin?.end();
  child.stdin?.on('error', () => {});
  const exited = exitOf(child, 'exit').then(async (code) => {
    // What it said last may still be in its pipes: one turn of the event loop reads that.
    for (let turn = 0; turn < 2; turn += 1) await setImmediate();
    exitCode = code;
    // Children of the command may keep its pipes open; they must not keep this process alive.
    child.stdout?.destroy();
    child.stderr?.destroy();
    return code;
  });
  return {
    get pid() {
      return commandPid(child) ?? child.pid ?? 0;
    },
    get exitCode() {
      return exitCode;
    },
    exited,
    output: () => output.toString('utf8'),
    kill: (signal = 'SIGTERM') => {
      const pid = commandPid(child);
      // Not in the node yet: nothing has started that could need a gentle end.
      if (pid === undefined) killGroup(child);
      else killQuietly(pid, signal);
    },
  };
}

function start(
  entrance: NodeEntrance,
  argv: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string },
): ChildProcess {
  const [command = '', ...args] = enterCommand(entrance, argv, options.cwd);
  return spawn(command, args, {
    // Its own process group, so that a time-out ends the command and its children.
    detached: true,
    env: { ...NODE_ENVIRONMENT, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

function exitOf(child: ChildProcess, event: 'exit' | 'close'): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once(event, (code: number | null, signal: NodeJS.Signals | null) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/** `nsenter --pid` forks: the command is its only child. */
function commandPid(child: ChildProcess): number | undefined {
  if (child.pid === undefined || child.exitCode !== null) return undefined;
  try {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
    const [first] = children.trim().split(' ').filter(Boolean);
    return first === undefined ? undefined : Number(first);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid !== undefined) killQuietly(-child.pid, 'SIGKILL');
}

function killQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
