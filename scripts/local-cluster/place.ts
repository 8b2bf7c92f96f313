/** Where the cluster runs: in a node of its own, or on the machine itself. */
export interface Place {
  /** As in "The cluster runs in node up". */
  readonly description: string;
  /** The API's address for this machine. */
  readonly server: string;
  /** Runs `mini-k8s` with these arguments there. */
  run(args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** Starts `mini-k8s controller` there, in the background, with its output in the log directory. */
  startController(): Promise<void>;
  isControllerRunning(): Promise<boolean>;
  /** Copies the kubectl that runs there to a file of this machine. */
  copyKubectl(target: string): Promise<void>;
}

/** Files of the log directory. */
export const PROGRESS_LOG = 'progress.log';
export const CONTROLLER_LOG = 'controller.log';

/** `sh -c` script: arguments are the log directory and the command; it outlives its caller. */
export const START_IN_BACKGROUND = `
logs=$1; shift
setsid "$@" > "$logs/${PROGRESS_LOG}" 2>> "$logs/${CONTROLLER_LOG}" </dev/null &
echo $!`;
