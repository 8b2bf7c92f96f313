import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile } from 'node:fs/promises';
import { execa } from 'execa';
import { errorCode, UserError } from '../../src/base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../../src/base/files.ts';
import { waitFor } from '../../src/base/time.ts';
import { type Place, START_IN_BACKGROUND } from './place.ts';
import type { Bundle, Workspace } from './workspace.ts';

const DATA_DIRECTORY = '/var/lib/mini-k8s';
const STOP_TIMEOUT_MS = 90_000;

/** What `up --host` remembers. The executable is a copy: `reset` must work after dist has changed. */
interface HostState {
  readonly executable: string;
  readonly bundle: Bundle;
  readonly controller?: { readonly pid: number; readonly startTime: string };
}

export async function findHostPlace(workspace: Workspace): Promise<Place | undefined> {
  const state = await readState(workspace);
  return state === undefined ? undefined : hostPlace(workspace);
}

/** @throws UserError when this machine has a mini-k8s that `up` did not start. */
export async function createHostPlace(workspace: Workspace, bundle: Bundle): Promise<Place> {
  if (existsSync(DATA_DIRECTORY)) {
    throw new UserError({
      what: 'start a cluster on this machine',
      why: `${DATA_DIRECTORY} is there: mini-k8s runs or ran here, and not by ./scripts/up --host of this checkout`,
      fix: `leave out --host, or remove that cluster with its data: ${workspace.executable} reset --yes`,
    });
  }
  await mkdir(workspace.logDirectory, { recursive: true });
  const executable = `${workspace.upDirectory}/mini-k8s`;
  await copyFile(workspace.executable, executable);
  await chmod(executable, 0o755);
  await writeState(workspace, { executable, bundle });
  return hostPlace(workspace);
}

/** Stops the controller and lets `reset` remove what it did. Returns false when there was none. */
export async function removeHostPlace(
  workspace: Workspace,
  say: (line: string) => void,
): Promise<boolean> {
  const state = await readState(workspace);
  if (state === undefined) return false;
  await stopController(state);
  if (!existsSync(state.executable)) return true;
  const result = await execa(state.executable, ['reset', '--yes'], { reject: false });
  if (!result.failed) {
    if (result.stdout !== '') say(result.stdout);
    return true;
  }
  throw new UserError({
    what: 'undo what mini-k8s did on this machine',
    why: `${state.executable} reset --yes failed: ${result.stderr || result.stdout}`,
    fix: 'mend what it says and run ./scripts/down again',
  });
}

function hostPlace(workspace: Workspace): Place {
  const requireState = async () => {
    const state = await readState(workspace);
    if (state === undefined) throw new Error(`${workspace.hostStateFile} is gone`);
    return state;
  };
  return {
    description: 'this machine',
    server: 'https://127.0.0.1:6443',
    run: async (args) => {
      const { executable } = await requireState();
      const result = await execa(executable, args, { reject: false, timeout: 60_000 });
      return { exitCode: result.exitCode ?? 128, stdout: result.stdout, stderr: result.stderr };
    },
    startController: async () => {
      const state = await requireState();
      const { directory, indexSha256 } = state.bundle;
      const command = [state.executable, 'controller', '--bundle', directory];
      const script = ['-c', START_IN_BACKGROUND, 'start', workspace.logDirectory];
      const trust = ['--trust-bundle', indexSha256];
      const { stdout } = await execa('/bin/sh', [...script, ...command, ...trust]);
      const pid = Number(stdout.trim());
      const startTime = await startTimeOf(pid);
      if (startTime === undefined) return;
      await writeState(workspace, { ...state, controller: { pid, startTime } });
    },
    isControllerRunning: async () => isRunning((await requireState()).controller),
    copyKubectl: (target) => copyFile(`${DATA_DIRECTORY}/bin/kubectl`, target),
  };
}

/** SIGTERM, and SIGKILL when it does not end: `reset` finds what it leaves behind. */
async function stopController(state: HostState): Promise<void> {
  const { controller } = state;
  if (controller === undefined || !(await isRunning(controller))) return;
  process.kill(controller.pid, 'SIGTERM');
  const isEnded = async () => !(await isRunning(controller));
  try {
    await waitFor(isEnded, { subject: 'the controller to stop', timeoutMs: STOP_TIMEOUT_MS });
  } catch (error) {
    if (!(await isRunning(controller))) return;
    process.kill(controller.pid, 'SIGKILL');
    await waitFor(isEnded, { subject: 'the killed controller to end', timeoutMs: 10_000 });
    if (!(error instanceof Error)) throw error;
  }
}

async function isRunning(controller: HostState['controller']): Promise<boolean> {
  if (controller === undefined) return false;
  return (await startTimeOf(controller.pid)) === controller.startTime;
}

/** Field 22 of /proc/PID/stat; undefined for a process that has ended, reaped or not. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? undefined : fields[18];
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return undefined;
    throw error;
  }
}

async function readState(workspace: Workspace): Promise<HostState | undefined> {
  const text = await readTextIfExists(workspace.hostStateFile);
  return text === undefined ? undefined : (JSON.parse(text) as HostState);
}

async function writeState(workspace: Workspace, state: HostState): Promise<void> {
  await writeFileAtomic(workspace.hostStateFile, JSON.stringify(state, undefined, 2));
}
