import { spawn } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { constants } from 'node:os';
import { UserError } from '../base/errors.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { readInstallRecord } from '../install/install-record.ts';
import { serviceLogFile, serviceName } from '../install/paths.ts';
import { findServiceControl, type ServiceControl } from '../install/service-control.ts';
import { askToEndPods, endShims } from './end-pods.ts';
import type { NodeEvent } from './events.ts';
import { followStart } from './follow-start.ts';
import { tryLock } from './lock.ts';
import { requireRoot } from './preflight.ts';

interface InstalledService {
  readonly control: ServiceControl;
  readonly paths: Paths;
}

export interface ServiceStartOptions {
  readonly onEvent: (event: NodeEvent) => void;
}

/** Starts the installed node and follows it until it is Ready. @throws UserError. */
export async function startService(
  options: ServiceStartOptions,
  signal: AbortSignal,
): Promise<void> {
  const { control, paths } = await installedService('start');
  await control.start();
  await followStart({ statusSocket: paths.statusSocket, ...options }, signal);
}

/**
 * Ends the supervisor and its processes. Pods run on, unless they are to go too: then each gets its grace period, and
 * no process of theirs is left. @throws UserError.
 */
export async function stopService(options: { readonly withPods: boolean }): Promise<void> {
  const { control, paths } = await installedService('stop');
  if (options.withPods) {
    await mkdir(paths.runDir, { recursive: true, mode: 0o711 });
    await askToEndPods(paths);
  }
  await control.stop();
  if (options.withPods) await endRest(paths);
}

/** Restarts the node's own processes; pods run on. Follows it until it is Ready. @throws UserError. */
export async function restartService(
  options: ServiceStartOptions,
  signal: AbortSignal,
): Promise<void> {
  const { control, paths } = await installedService('restart');
  await control.stop();
  await control.start();
  await followStart({ statusSocket: paths.statusSocket, ...options }, signal);
}

export interface LogOptions {
  /** Only what this component says, all that is kept of it; the service's log has what matters of all. */
  readonly component?: string;
  readonly follows: boolean;
  /** Anything that journalctl takes. */
  readonly since?: string;
}

/** Shows the service's log, or a component's, on this terminal. @returns the exit code of the program that shows it. */
export async function showLogs(options: LogOptions): Promise<number> {
  if (options.component !== undefined) return showComponentLog(options.component, options);
  const { control } = await installedService('show the logs of', { needsRoot: false });
  const since = options.since === undefined ? [] : ['--since', options.since];
  if (control.manager === 'systemd') {
    const follow = options.follows ? ['--follow'] : ['--no-pager'];
    return show('journalctl', ['--unit', serviceName, '--output', 'cat', ...follow, ...since]);
  }
  refuseSince(options);
  return showFile(serviceLogFile, options);
}

async function showComponentLog(component: string, options: LogOptions): Promise<number> {
  refuseSince(options);
  const file = `${pathsFor().logDir}/${component}.log`;
  const isName = /^[a-z-]+$/.test(component);
  const isThere = isName && (await exists(file));
  if (!isThere) {
    throw new UserError({
      what: `show the log of ${component}`,
      why: `no component of that name has run since the machine started`,
      fix: 'mini-k8s status lists the components',
    });
  }
  return showFile(file, options);
}

/** With what was in it before it was last emptied, which is all that is kept. */
async function showFile(file: string, { follows }: LogOptions): Promise<number> {
  if (follows) return show('tail', ['-n', '200', '-F', file]);
  const older = `${file}.1`;
  return show('cat', (await exists(older)) ? [older, file] : [file]);
}

function refuseSince({ since }: LogOptions): void {
  if (since === undefined) return;
  throw new UserError({
    what: `show only what was said since ${since}`,
    why: 'only the journal of systemd knows when a line was written',
    fix: 'leave --since out',
  });
}

async function installedService(
  act: string,
  { needsRoot = true }: { readonly needsRoot?: boolean } = {},
): Promise<InstalledService> {
  if (needsRoot) requireRoot(`${act} the service`);
  const record = await readInstallRecord();
  if (record !== undefined) {
    return { control: await findServiceControl(), paths: pathsFor({ dataDir: record.dataDir }) };
  }
  throw new UserError({
    what: `${act} the service`,
    why: 'mini-k8s is not installed on this machine',
    fix: 'mini-k8s controller install, or mini-k8s worker install --token-file FILE',
  });
}

/** What a supervisor left that was killed, or did not run. */
async function endRest(paths: Paths): Promise<void> {
  const lock = await tryLock(paths);
  if (lock === undefined) return;
  try {
    await endShims(paths);
  } finally {
    await lock.release();
  }
}

function show(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: 'inherit' });
    // The terminal gives both the Ctrl-C that ends a `--follow`.
    const ignore = () => {};
    process.on('SIGINT', ignore);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
