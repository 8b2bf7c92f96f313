import { realpathSync } from 'node:fs';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import { componentVariable, instanceVariable } from './environment.ts';
import { logEvent } from './log-event.ts';
import { type PidRecord, readPidFiles, removePidFiles } from './pid-file.ts';
import {
  isAlive,
  listPids,
  readEnvironment,
  readExecutable,
  readPidNamespace,
  readProcessStat,
  sendSignal,
} from './proc-files.ts';
import { endProcessGroup } from './process-group.ts';
import type { SupervisorEvent } from './types.ts';

export interface EndOrphansOptions {
  readonly pidDir: string;
  /** The same value as in `ProcessDeps`. */
  readonly instance: string;
  /** Absolute paths of the executables that components run. */
  readonly executables: readonly string[];
  /** Between SIGTERM and SIGKILL, milliseconds. */
  readonly stopTimeoutMs: number;
  readonly logger: Logger;
  readonly onEvent: (event: SupervisorEvent) => void;
  /** Names that must have ended before this one is asked to; without a cycle. Default: all are ended at once. */
  readonly endsAfter?: (name: string) => readonly string[];
}

/** A process that an earlier supervisor started and did not live to end. */
export interface Orphan {
  readonly name: string;
  readonly pid: number;
  readonly startTime: number;
}

/**
 * Ends what an earlier supervisor with the same `instance` left running; to be called before
 * components are started, else they find their ports and lock files taken. A process is an orphan
 * only with the supervisor's marker in its environment, in this pid namespace, and when it is what a
 * pid file says, or runs one of the executables, or is left of the process group of a recorded one.
 * So a pid that was used again is safe, and so are shims and containers, which inherit the marker
 * but run other executables in groups of their own.
 * @returns what was ended.
 */
export async function endOrphans(options: EndOrphansOptions): Promise<readonly Orphan[]> {
  const orphans = findOrphans(options);
  const ends = new Map<Orphan, Promise<void>>();
  const endInOrder = (orphan: Orphan): Promise<void> => {
    const first = options.endsAfter?.(orphan.name) ?? [];
    const end =
      ends.get(orphan) ??
      Promise.all(orphans.filter(({ name }) => first.includes(name)).map(endInOrder)).then(() =>
        endOrphan(orphan, options),
      );
    ends.set(orphan, end);
    return end;
  };
  await Promise.all(orphans.map(endInOrder));
  removePidFiles(options.pidDir);
  return orphans;
}

export function findOrphans(
  options: Pick<EndOrphansOptions, 'pidDir' | 'instance' | 'executables'>,
): readonly Orphan[] {
  const records = [...readPidFiles(options.pidDir).values()];
  const executables = new Set(options.executables.flatMap(withRealPath));
  const namespace = readPidNamespace('self');
  const orphans: Orphan[] = [];
  for (const pid of listPids()) {
    if (pid === process.pid) continue;
    const startTime = matchProcess(pid, records, executables);
    if (startTime === undefined || readPidNamespace(pid) !== namespace) continue;
    const environment = readEnvironment(pid);
    const name = environment?.get(componentVariable);
    if (name === undefined || environment?.get(instanceVariable) !== options.instance) continue;
    orphans.push({ name, pid, startTime });
  }
  return orphans;
}

/** The start time of a process that may be an orphan; its environment is read last, as reading it can block. */
function matchProcess(
  pid: number,
  records: readonly PidRecord[],
  executables: ReadonlySet<string>,
): number | undefined {
  const stat = readProcessStat(pid);
  if (stat === undefined) return undefined;
  const executable = readExecutable(pid);
  if (executable === undefined) return undefined;
  const isKnown =
    executables.has(executable) ||
    records.some((record) => record.pid === pid && record.startTime === stat.startTime) ||
    // While the leader lives, ending it ends its group.
    records.some(
      (record) => record.pid === stat.processGroup && !isAlive(record.pid, record.startTime),
    );
  return isKnown ? stat.startTime : undefined;
}

async function endOrphan(orphan: Orphan, options: EndOrphansOptions): Promise<void> {
  const { name, pid, startTime } = orphan;
  if (!isAlive(pid, startTime)) return;
  const isLeader = readProcessStat(pid)?.processGroup === pid;
  sendSignal(pid, 'SIGTERM');
  if (!(await waitForEnd(orphan, options.stopTimeoutMs)) && isAlive(pid, startTime)) {
    sendSignal(pid, 'SIGKILL');
    if (!(await waitForEnd(orphan, options.stopTimeoutMs))) {
      options.logger.warn(`${name} of an earlier run (pid ${pid}) does not end by SIGKILL`);
      return;
    }
  }
  if (isLeader) await endProcessGroup(pid);
  const event = { type: 'orphan-ended', name, pid } as const;
  logEvent(options.logger, event);
  options.onEvent(event);
}

const pollMs = 20;

async function waitForEnd(orphan: Orphan, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(orphan.pid, orphan.startTime)) {
    if (performance.now() >= deadline) return false;
    await sleep(pollMs);
  }
  return true;
}

/** /proc shows paths without symbolic links. */
function withRealPath(file: string): readonly string[] {
  try {
    return [file, realpathSync(file)];
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return [file];
    throw error;
  }
}
