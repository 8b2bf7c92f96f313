import { closeSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { checkExecutable } from './check-executable.ts';
import { defaultOutputTiming, OutputFollower, type OutputTiming } from './output.ts';
import { removePidFile, writePidFile } from './pid-file.ts';
import { defaultProbeTiming, type ProbeTiming, waitUntilReady } from './probe.ts';
import { readExecutable, readProcessStat, signalGroup } from './proc-files.ts';
import { endProcessGroup } from './process-group.ts';
import { openLog, type SpawnedChild, spawnChild } from './spawn-child.ts';
import type { Component, ProcessSpec, RunningComponent, Termination } from './types.ts';

export interface ProcessDeps {
  /** Holds `<name>.log` and `<name>.log.1`; best in RAM. Made when missing. */
  readonly logDir: string;
  /** Holds `<name>.json`, from which `endOrphans` finds a process after the supervisor was killed. */
  readonly pidDir: string;
  /** Tells this supervisor's processes from those of another one on the machine, such as its data directory. */
  readonly instance: string;
  /** Gets the component's output, with a `component` field. */
  readonly logger: Logger;
  readonly clock: Clock;
  readonly probeTiming?: ProbeTiming;
  readonly outputTiming?: OutputTiming;
}

/**
 * A component that is a process in a process group of its own. It gets SIGTERM, and with
 * `stopTimeoutMs` over the whole group gets SIGKILL; when the leader has ended, so does its group.
 */
export function processComponent(spec: ProcessSpec, deps: ProcessDeps): Component {
  return {
    name: spec.name,
    dependsOn: spec.dependsOn,
    start: (signal) => startProcess(spec, deps, signal),
  };
}

async function startProcess(
  spec: ProcessSpec,
  deps: ProcessDeps,
  signal: AbortSignal,
): Promise<RunningComponent> {
  signal.throwIfAborted();
  checkExecutable(spec.name, spec.executable);
  const logger = deps.logger.child({ component: spec.name });
  const logFile = path.join(deps.logDir, `${spec.name}.log`);
  const logFd = openLog(spec.name, logFile);
  try {
    const output = new OutputFollower(logFile, logger, deps.outputTiming ?? defaultOutputTiming);
    try {
      const { child, pid } = await spawnChild(spec, deps.instance, logFd);
      const running = new RunningProcess({ spec, deps, logger, output, child, pid });
      await running.record();
      return running;
    } catch (error) {
      output.close();
      throw error;
    }
  } finally {
    closeSync(logFd);
  }
}

interface RunningProcessOptions extends SpawnedChild {
  readonly spec: ProcessSpec;
  readonly deps: ProcessDeps;
  readonly logger: Logger;
  readonly output: OutputFollower;
}

class RunningProcess implements RunningComponent {
  readonly pid: number;
  readonly terminated: Promise<Termination>;
  readonly #options: RunningProcessOptions;
  #recorded: Promise<void> = Promise.resolve();
  #isStopping = false;
  #wasKilled = false;

  constructor(options: RunningProcessOptions) {
    this.#options = options;
    this.pid = options.pid;
    this.terminated = new Promise<ExitStatus>((resolve) => {
      options.child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    }).then((status) => this.#cleanUp(status));
  }

  /**
   * Leaves behind what finds the process again, then applies its limits. Neither may fail a start: a
   * full disk must not keep a component down, and its environment alone still identifies it.
   */
  record(): Promise<void> {
    this.#recorded = this.#record();
    return this.#recorded;
  }

  async #record(): Promise<void> {
    const { spec, deps, logger } = this.#options;
    const startTime = readProcessStat(this.pid)?.startTime;
    if (startTime === undefined) return;
    const executable = readExecutable(this.pid) ?? spec.executable;
    try {
      await writePidFile(deps.pidDir, spec.name, { pid: this.pid, startTime, executable });
    } catch (error) {
      logger.warn(`Cannot write the pid file of ${spec.name}: ${errorMessage(error)}`);
    }
    this.#limit();
  }

  waitReady(signal: AbortSignal): Promise<void> {
    const { spec, deps } = this.#options;
    return waitUntilReady({
      probe: spec.readiness,
      startTimeoutMs: spec.startTimeoutMs,
      timing: deps.probeTiming ?? defaultProbeTiming,
      signal,
    });
  }

  async stop(): Promise<void> {
    if (this.#isStopping) {
      await this.terminated;
      return;
    }
    this.#isStopping = true;
    const { child, spec } = this.#options;
    child.kill('SIGTERM');
    const timer = setTimeout(() => {
      // While `exit` has not come, the leader is not waited for and the group's number is still its own.
      if (child.exitCode !== null || child.signalCode !== null) return;
      this.#wasKilled = true;
      signalGroup(this.pid, 'SIGKILL');
    }, spec.stopTimeoutMs);
    await this.terminated;
    clearTimeout(timer);
  }

  lastOutput(): readonly string[] {
    return this.#options.output.lastLines();
  }

  #limit(): void {
    const { spec, logger } = this.#options;
    const score = spec.limits?.oomScoreAdj;
    if (score === undefined) return;
    try {
      writeFileSync(`/proc/${this.pid}/oom_score_adj`, String(score));
    } catch (error) {
      logger.debug(`oom_score_adj ${score} was refused: ${errorMessage(error)}`);
    }
  }

  async #cleanUp(status: ExitStatus): Promise<Termination> {
    const { spec, deps, logger, output } = this.#options;
    if (!(await endProcessGroup(this.pid))) {
      logger.warn(`Processes that ${spec.name} (pid ${this.pid}) started do not end by SIGKILL`);
    }
    // A pid file that is still being written must not outlive its process.
    await this.#recorded;
    try {
      removePidFile(deps.pidDir, spec.name);
    } catch (error) {
      // A failing disk: the process has ended all the same, and must be reported and started again.
      logger.warn(`Cannot remove the pid file of ${spec.name}: ${errorMessage(error)}`);
    }
    output.close();
    return this.#describe(status);
  }

  #describe({ exitCode, signal }: ExitStatus): Termination {
    const finishedAt = this.#options.deps.clock.now();
    if (signal !== null) {
      return this.#isStopping
        ? { signal, reason: 'Stopped', finishedAt, ...this.#killedMessage() }
        : { signal, reason: 'Killed', message: killedText(signal), finishedAt };
    }
    return {
      exitCode: exitCode ?? 0,
      reason: this.#isStopping ? 'Stopped' : 'Error',
      message: `exited with code ${exitCode ?? 0}`,
      finishedAt,
    };
  }

  #killedMessage(): { readonly message?: string } {
    if (!this.#wasKilled) return {};
    return {
      message: `did not end within ${this.#options.spec.stopTimeoutMs / 1000} s of SIGTERM`,
    };
  }
}

interface ExitStatus {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

function killedText(signal: NodeJS.Signals): string {
  return signal === 'SIGKILL'
    ? 'ended by SIGKILL from outside, as the kernel does when memory runs out'
    : `ended by ${signal}`;
}
