/** How the supervisor learns that a process serves. */
export type ReadinessProbe =
  | {
      readonly type: 'https' | 'http';
      readonly url: string;
      /** PEM file of the CA that signed the server's certificate; https only. */
      readonly caFile?: string;
      readonly certFile?: string;
      readonly keyFile?: string;
      /** Name to verify in the server's certificate when it is not the URL's host. */
      readonly serverName?: string;
    }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  | { readonly type: 'unix'; readonly path: string }
  | { readonly type: 'exec'; readonly executable: string; readonly args: readonly string[] }
  /** Ready as soon as it runs. */
  | { readonly type: 'none' };

/** What one look at a component found; `message` is for people: `GET https://… answered 500: …`. */
export type ProbeResult =
  | { readonly isReady: true }
  | { readonly isReady: false; readonly message: string };

export interface ProcessLimits {
  /** Written to `/proc/<pid>/oom_score_adj`, -1000 to 1000; a refused value is ignored with one log line. */
  readonly oomScoreAdj?: number;
}

/** One supervised process: everything that is needed to start it, and nothing about why. */
export interface ProcessSpec {
  readonly name: string;
  /** Absolute path. */
  readonly executable: string;
  readonly args: readonly string[];
  /**
   * The whole environment of the child besides PATH, HOME and the supervisor's markers: nothing else
   * is inherited. May replace PATH and HOME.
   */
  readonly env: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  /** Names of components that must be ready first. */
  readonly dependsOn: readonly string[];
  readonly readiness: ReadinessProbe;
  /** After this long without readiness the process is ended and counted as a failed start, milliseconds. */
  readonly startTimeoutMs: number;
  /** Between SIGTERM and SIGKILL of the group, milliseconds. */
  readonly stopTimeoutMs: number;
  readonly limits?: ProcessLimits;
}

/** Why something that ran no longer does. */
export interface Termination {
  readonly exitCode?: number;
  readonly signal?: string;
  readonly reason: TerminationReason;
  readonly message?: string;
  /** Milliseconds since the epoch. */
  readonly finishedAt: number;
}

/**
 * - `Completed`: its work is done, it is not started again and its dependents may start. Never of a process.
 * - `Error`: it ended by itself, or could not be started.
 * - `Killed`: a signal that the supervisor did not send ended it.
 * - `StartTimeout`: the supervisor ended it because it did not become ready in time.
 * - `Stopped`: the supervisor ended it because it was asked to.
 */
export type TerminationReason = 'Completed' | 'Error' | 'Killed' | 'StartTimeout' | 'Stopped';

export type WaitingReason = 'DependencyNotReady' | 'CrashLoopBackOff';

/** The states of a component, in the words of Kubernetes' ContainerStatus. */
export type ComponentState =
  | {
      readonly type: 'Waiting';
      readonly reason: WaitingReason;
      readonly message: string;
      /** Milliseconds since the epoch; only with CrashLoopBackOff. */
      readonly retryAt?: number;
    }
  | {
      readonly type: 'Running';
      readonly ready: boolean;
      readonly startedAt: number;
      readonly pid?: number;
    }
  | { readonly type: 'Terminating' }
  | { readonly type: 'Terminated'; readonly termination: Termination };

export interface ComponentStatus {
  readonly name: string;
  readonly state: ComponentState;
  readonly restartCount: number;
  readonly lastTermination?: Termination;
  /** The last lines of output, oldest first, at most 20. */
  readonly lastOutput: readonly string[];
  /** Anonymous memory of the process group's leader, bytes; undefined when it has no process. */
  readonly anonymousBytes?: number;
}

/** A description of something that keeps running: a process, a server in this process, a loop. */
export interface Component {
  readonly name: string;
  readonly dependsOn: readonly string[];
  /**
   * Starts it once. Resolves when it runs (not yet ready).
   * @throws when it cannot be started; the supervisor retries with backoff.
   */
  start(signal: AbortSignal): Promise<RunningComponent>;
}

/** A started component: another value than its description. */
export interface RunningComponent {
  readonly pid?: number;
  /** Resolves, never rejects, when it no longer runs. */
  readonly terminated: Promise<Termination>;
  /**
   * Resolves when it serves.
   * @throws Error naming the last probe result when its start time-out is over, or the signal's reason.
   */
  waitReady(signal: AbortSignal): Promise<void>;
  /** Ends it; resolves when nothing of it is left. Idempotent. */
  stop(): Promise<void>;
  /** Last lines of output, oldest first. */
  lastOutput?(): readonly string[];
}

/** What happened to a component, for the reporter and the log. */
export type SupervisorEvent =
  | { readonly type: 'component-starting'; readonly name: string }
  | { readonly type: 'component-ready'; readonly name: string; readonly elapsedMs: number }
  | {
      readonly type: 'component-terminated';
      readonly name: string;
      readonly termination: Termination;
      readonly lastOutput: readonly string[];
      /** Milliseconds until the next try; undefined when it is not tried again. */
      readonly retryInMs?: number;
    }
  | { readonly type: 'component-stopping'; readonly name: string }
  | { readonly type: 'component-stopped'; readonly name: string; readonly elapsedMs: number }
  | { readonly type: 'orphan-ended'; readonly name: string; readonly pid: number };
