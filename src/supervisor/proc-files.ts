import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { errorCode } from '../base/errors.ts';

/**
 * What /proc says about one process.
 * @see https://www.kernel.org/doc/html/latest/filesystems/proc.html
 */
export interface ProcessStat {
  /** One letter: `Z` is a zombie, `X` is gone. */
  readonly state: string;
  readonly processGroup: number;
  /** Field 22: clock ticks after boot. With the pid it names one process for as long as the machine runs. */
  readonly startTime: number;
}

/** Undefined when there is no such process. */
export function readProcessStat(pid: number): ProcessStat | undefined {
  const text = readProcText(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The second field is the name in parentheses and may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    state: fields[0] ?? '',
    processGroup: Number(fields[2]),
    startTime: Number(fields[19]),
  };
}

/** The file that a process executes, also after that file was replaced; undefined for zombies and strangers. */
export function readExecutable(pid: number): string | undefined {
  return readProcLink(`/proc/${pid}/exe`)?.replace(/ \(deleted\)$/, '');
}

/** The environment that a process was started with; undefined when it cannot be read. */
export function readEnvironment(pid: number): ReadonlyMap<string, string> | undefined {
  const text = readProcText(`/proc/${pid}/environ`);
  if (text === undefined) return undefined;
  return new Map(
    text.split('\0').map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

/** An identity of the process' pid namespace: processes in another one belong to another machine. */
export function readPidNamespace(pid: number | 'self'): string | undefined {
  return readProcLink(`/proc/${pid}/ns/pid`);
}

/** Anonymous memory of a process in bytes; undefined when it has ended or may not be read. */
export function readAnonymousBytes(pid: number): number | undefined {
  const text = readProcText(`/proc/${pid}/smaps_rollup`);
  const match = /^Anonymous:\s+(\d+) kB$/m.exec(text ?? '');
  return match === null ? undefined : Number(match[1]) * 1024;
}

export function listPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** A process that still does something: neither gone nor a zombie that nobody has waited for. */
export function isAlive(pid: number, startTime: number): boolean {
  const stat = readProcessStat(pid);
  return stat !== undefined && stat.startTime === startTime && !isDead(pid, stat);
}

/** True while a process of the group runs. Zombies do not count: without a reaping PID 1 they stay. */
export function isGroupAlive(processGroup: number): boolean {
  if (!signalGroup(processGroup, 0)) return false;
  return listPids().some((pid) => {
    const stat = readProcessStat(pid);
    return stat !== undefined && stat.processGroup === processGroup && !isDead(pid, stat);
  });
}

/** Sends a signal to every process of a group; false when the group is empty. */
export function signalGroup(processGroup: number, signal: NodeJS.Signals | 0): boolean {
  return sendSignal(-processGroup, signal);
}

/** Sends a signal to a process (to a group when negative); false when it does not exist. */
export function sendSignal(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/**
 * The first thread of a process shows as a zombie as soon as it has ended itself; sockets, locks and memory are the
 * process' until the last thread has ended too.
 */
function isDead(pid: number, stat: ProcessStat): boolean {
  if (stat.state === 'X') return true;
  return stat.state === 'Z' && countThreads(pid) <= 1;
}

function countThreads(pid: number): number {
  return unlessGone(() => readdirSync(`/proc/${pid}/task`))?.length ?? 0;
}

function readProcText(file: string): string | undefined {
  return unlessGone(() => readFileSync(file, 'utf8'));
}

function readProcLink(link: string): string | undefined {
  return unlessGone(() => readlinkSync(link));
}

/** Processes end while one looks at them, and some belong to others. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}
