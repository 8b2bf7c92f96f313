import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** One end of a tunnel as a process. */
export interface PeerProcess {
  readonly pid: number;
  /** User and system time so far. */
  cpuSeconds(): number;
  /** Anonymous memory now, as the kernel counts it. */
  anonymousBytes(): number;
  /** Its output so far. */
  output(): string;
  readonly hasExited: boolean;
  readonly kill: () => Promise<void>;
}

export interface PeerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** Its temporary files go there too. */
  readonly directory: string;
}

/** The kernel's USER_HZ, the same on all architectures that Linux runs Node.js on. */
const ticksPerSecond = 100;

/** For an end that writes its CPU profile. */
const endGraceMs = 2_000;

/** Its output goes to a file: a pipe would be a reader to wait for. */
export async function startPeer(command: PeerCommand): Promise<PeerProcess> {
  const { program, args, logFile, directory } = command;
  const log = openSync(logFile, 'a');
  const child = spawn(program, args, {
    cwd: directory,
    env: { ...process.env, TMPDIR: directory },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  // However this process ends, even while a measurement goes on.
  const endWithUs = () => child.kill('SIGKILL');
  process.once('exit', endWithUs);
  child.once('exit', () => process.off('exit', endWithUs));
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${program}`);
  const hasExited = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    cpuSeconds: () => readCpuSeconds(pid),
    anonymousBytes: () => readAnonymousBytes(pid),
    output: () => readFileSync(logFile, 'utf8'),
    get hasExited() {
      return hasExited();
    },
    kill: () => killAndWait(child, hasExited),
  };
}

/** Konnectivity's agent wants a second SIGTERM, and who is blocked may never end by itself. */
async function killAndWait(child: ChildProcess, hasExited: () => boolean): Promise<void> {
  if (hasExited()) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), endGraceMs);
  await exited;
  clearTimeout(timer);
}

function readCpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function readAnonymousBytes(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Anonymous:\s*(\d+) kB/m.exec(rollup)?.[1]) * 1024;
}
