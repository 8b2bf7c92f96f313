import { execFile } from 'node:child_process';
import { access, rmdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { serviceName } from './paths.ts';
import type { ServiceManagerName } from './types.ts';

const run = promisify(execFile);

/** A stop waits for the pods' grace period and more; everything else is quick. Milliseconds. */
const commandTimeoutMs = 200_000;
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/** What is done with the service; every act is idempotent. */
export interface ServiceControl {
  readonly manager: ServiceManagerName;
  /** Makes the manager read the service's file again. */
  reload(): Promise<void>;
  enable(): Promise<void>;
  disable(): Promise<void>;
  isEnabled(): Promise<boolean>;
  /** Does not wait until the node is ready. */
  start(): Promise<void>;
  /** Resolves when the supervisor has ended. */
  stop(): Promise<void>;
  /** It was started and not stopped: it runs, or will be tried again. */
  isRunning(): Promise<boolean>;
  /** Takes away what the manager keeps of a service whose file is gone and of which nothing runs. */
  forget(): Promise<void>;
}

/** @throws UserError on a machine with another service manager, or none. */
export async function findServiceControl(): Promise<ServiceControl> {
  const found = await detectServiceControl();
  if (found !== undefined) return found;
  throw new UserError({
    what: 'install a service',
    why: 'neither systemd nor OpenRC runs this machine',
    fix: 'let what starts your services run the command in the foreground: mini-k8s controller, or mini-k8s worker',
  });
}

/** The service manager that runs this machine, undefined for any other than the two that are known. */
export async function detectServiceControl(): Promise<ServiceControl | undefined> {
  if (await exists('/run/systemd/system')) return systemdControl;
  if (await exists('/run/openrc/softlevel')) return openrcControl;
  return undefined;
}

const unit = `${serviceName}.service`;

const systemdControl: ServiceControl = {
  manager: 'systemd',
  reload: () => act('reload systemd', 'systemctl', ['daemon-reload']),
  enable: () => act('enable the service', 'systemctl', ['--quiet', 'enable', unit]),
  disable: async () => {
    await succeeds('systemctl', ['--quiet', 'disable', unit]);
    await succeeds('systemctl', ['reset-failed', unit]);
  },
  isEnabled: () => succeeds('systemctl', ['--quiet', 'is-enabled', unit]),
  // The unit counts as started when the node is: whoever waits for that shows progress meanwhile.
  start: () => act('start the service', 'systemctl', ['--no-block', 'start', unit]),
  stop: () => act('stop the service', 'systemctl', ['stop', unit]),
  isRunning: async () => {
    const { stdout } = await run('systemctl', ['show', '--property=ActiveState', unit], { env });
    return ['ActiveState=active', 'ActiveState=activating', 'ActiveState=reloading'].includes(
      stdout.trim(),
    );
  },
  forget: () => systemdControl.reload(),
};

const openrcControl: ServiceControl = {
  manager: 'OpenRC',
  reload: async () => {},
  enable: () => act('enable the service', 'rc-update', ['--quiet', 'add', serviceName, 'default']),
  disable: async () => {
    await succeeds('rc-update', ['--quiet', 'delete', serviceName, 'default']);
  },
  isEnabled: () => exists(`/etc/runlevels/default/${serviceName}`),
  start: () => act('start the service', 'rc-service', ['--quiet', serviceName, 'start']),
  stop: () =>
    act('stop the service', 'rc-service', ['--quiet', '--ifstarted', serviceName, 'stop']),
  isRunning: () => exists(`/run/openrc/started/${serviceName}`),
  // While pods ran on, their cgroup could not go with the service.
  forget: async () => {
    for (const root of ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/openrc']) {
      await rmdir(`${root}/${serviceName}`).catch((error: unknown) => {
        if (!['ENOENT', 'ENOTDIR', 'EROFS'].includes(errorCode(error) ?? '')) throw error;
      });
    }
  },
};

async function act(what: string, command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, [...args], { env, timeout: commandTimeoutMs });
  } catch (error) {
    throw new UserError({
      what,
      why: `${[command, ...args].join(' ')}: ${lastLine(error)}`,
      fix: 'mini-k8s logs',
      cause: error,
    });
  }
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(command, [...args], { env, timeout: commandTimeoutMs });
    return true;
  } catch (error) {
    // Only a command that ran and said no is an answer.
    if (errorCode(error) === 'ENOENT') throw error;
    return false;
  }
}

function lastLine(error: unknown): string {
  const { stderr } = error as { stderr?: string };
  const said = (stderr ?? '').trim().split('\n').at(-1);
  return said === undefined || said === '' ? errorMessage(error) : said;
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
