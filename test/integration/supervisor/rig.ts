import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import { instanceVariable } from '../../../src/supervisor/environment.ts';
import { defaultOutputTiming } from '../../../src/supervisor/output.ts';
import { listPids, readEnvironment, readProcessStat } from '../../../src/supervisor/proc-files.ts';
import { type ProcessDeps, processComponent } from '../../../src/supervisor/process.ts';
import { createSupervisor, type Supervisor } from '../../../src/supervisor/supervisor.ts';
import type {
  Component,
  ComponentStatus,
  ProcessSpec,
  SupervisorEvent,
} from '../../../src/supervisor/types.ts';

/** Short enough for a test to see several restarts. */
const testBackoff = { initialMs: 40, maxMs: 200, resetAfterMs: 30_000 };

export interface LogRecord {
  readonly level: string;
  readonly msg: string;
  readonly component?: string;
}

/**
 * A directory, real processes in it, and what was heard of them. Its disposal stops everything, then
 * fails the test when a process or a file descriptor is left.
 */
export class Rig implements AsyncDisposable {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'supervisor-test-'));
  readonly events: SupervisorEvent[] = [];
  readonly log: LogRecord[] = [];
  readonly logger = createLogger({
    level: 'trace',
    format: 'json',
    write: (line) => this.log.push(JSON.parse(line) as LogRecord),
  });
  readonly deps: ProcessDeps = {
    logDir: path.join(this.dir, 'log'),
    pidDir: path.join(this.dir, 'pid'),
    instance: this.dir,
    logger: this.logger,
    clock: systemClock,
    probeTiming: { intervalMs: 10, maxIntervalMs: 50, timeoutMs: 20_000 },
    // By the kernel's notification alone, however long a busy machine takes.
    outputTiming: { ...defaultOutputTiming, pollMs: 600_000 },
  };
  readonly #supervisors: Supervisor[] = [];

  supervise(components: readonly Component[], over: { backoffMs?: number } = {}): Supervisor {
    const supervisor = createSupervisor({
      components,
      clock: systemClock,
      random: () => 0,
      logger: this.logger,
      onEvent: (event) => this.events.push(event),
      backoff: { ...testBackoff, initialMs: over.backoffMs ?? testBackoff.initialMs },
    });
    this.#supervisors.push(supervisor);
    return supervisor;
  }

  process(over: Partial<ProcessSpec> & { readonly name: string }): Component {
    return processComponent({ ...this.#defaults, ...over }, this.deps);
  }

  /** A shell script from test/fixtures/supervisor that becomes ready when it makes `readyFile`. */
  script(
    name: string,
    [file, ...args]: readonly [string, ...string[]],
    over: Partial<ProcessSpec> & { readonly readyFile?: string } = {},
  ): Component {
    const { readyFile, ...rest } = over;
    const readiness =
      readyFile === undefined
        ? ({ type: 'none' } as const)
        : ({ type: 'exec', executable: '/bin/ls', args: [this.file(readyFile)] } as const);
    return this.process({ name, args: [fixture(file), ...args], readiness, ...rest });
  }

  wellBehaved(name: string, ...dependsOn: string[]): Component {
    const args = ['well-behaved.sh', name, this.dir] as const;
    return this.script(name, args, { dependsOn, readyFile: `${name}.ready` });
  }

  file(name: string): string {
    return path.join(this.dir, name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8');
  }

  /** What happened to a component, in short: `starting`, `ready`, `terminated`, … */
  history(name: string): string[] {
    return this.events
      .filter((event) => event.name === name)
      .map((event) => event.type.replace('component-', ''));
  }

  async waitForEvent<T extends SupervisorEvent['type']>(
    type: T,
    count = 1,
  ): Promise<Extract<SupervisorEvent, { type: T }>> {
    return waitFor(() => this.events.filter((event) => event.type === type)[count - 1] as never, {
      subject: `${count} × ${type}`,
      timeoutMs: 20_000,
      intervalMs: 5,
      describe: () => JSON.stringify(this.events),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop()));
    const processes = markedPids(this.dir);
    for (const pid of processes) process.kill(pid, 'SIGKILL');
    const descriptors = openDescriptors(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
    if (processes.length > 0) throw new Error(`Processes are left: ${processes.join(', ')}`);
    if (descriptors.length > 0) throw new Error(`Files are left open: ${descriptors.join(', ')}`);
  }

  readonly #defaults = {
    executable: '/bin/sh',
    args: [],
    env: {},
    dependsOn: [],
    readiness: { type: 'none' },
    startTimeoutMs: 20_000,
    stopTimeoutMs: 10_000,
  } as const;
}

export function fixture(file: string): string {
  return path.join(import.meta.dirname, '../../fixtures/supervisor', file);
}

export function statusOf(supervisor: Supervisor, name: string): ComponentStatus {
  const status = supervisor.status().find((one) => one.name === name);
  if (status === undefined) throw new Error(`No status of ${name}`);
  return status;
}

/** Processes that run and carry the instance's marker. */
export function markedPids(instance: string): readonly number[] {
  return listPids().filter(
    (pid) => isRunning(pid) && readEnvironment(pid)?.get(instanceVariable) === instance,
  );
}

export function isRunning(pid: number): boolean {
  const state = readProcessStat(pid)?.state;
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Ends a process that the test itself is responsible for. */
export async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await waitFor(() => !isRunning(pid), {
    subject: `the end of pid ${pid}`,
    timeoutMs: 20_000,
    intervalMs: 5,
  });
}

function openDescriptors(dir: string): readonly string[] {
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // the descriptor of the listing itself
      }
    })
    .filter((target) => target.startsWith(dir));
}
