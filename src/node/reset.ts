import { realpath } from 'node:fs/promises';
import { throwCollected, UserError } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { endContainers } from '../host/container-processes.ts';
import { unmountBelow } from '../host/mounts.ts';
import { networkRemovals } from '../host/network-rules.ts';
import { undoHostSettings } from '../host/undo-host-settings.ts';
import { readInstallRecord } from '../install/install-record.ts';
import { endProcesses } from './end-processes.ts';
import { describeHolder, tryLock } from './lock.ts';
import { requireRoot } from './preflight.ts';
import { hostRecordFile } from './realise.ts';
import { removeNetworkNamespaces, removeNodeFiles, removeShimSockets } from './reset-files.ts';

export interface ResetOptions {
  readonly dataDir?: string;
  /** Called for each thing, as it continues "removed …". */
  readonly onRemoved: (what: string) => void;
}

/**
 * Undoes everything that a node did on this machine; what the user wrote (the configuration, `config.yaml.d` included) stays. Idempotent:
 * a second run finds nothing. A step that fails does not keep the later ones from being done, except that files stay
 * as long as a process or a mount may still use them.
 * @returns how many things were removed.
 * @throws UserError while the node runs; UserErrors for what could not be removed.
 */
export async function resetNode(options: ResetOptions): Promise<number> {
  requireRoot('reset this node');
  const paths = await realPaths(options.dataDir);
  const lock = await tryLock(paths);
  if (lock === undefined) {
    const isService = (await readInstallRecord()) !== undefined;
    throw new UserError({
      what: 'reset this node',
      why: `${await describeHolder(paths)} is running`,
      // A service that is only killed comes back.
      fix: isService
        ? 'mini-k8s stop first, or mini-k8s uninstall --yes'
        : 'stop it first (Ctrl-C, or kill -TERM that pid)',
    });
  }
  try {
    return await removeEverything(paths, options.onRemoved);
  } finally {
    await lock.release();
  }
}

/** Without symbolic links, as /proc shows them: a data directory may be a link to a bigger disk. */
async function realPaths(dataDir: string | undefined): Promise<Paths> {
  const wanted = pathsFor(dataDir === undefined ? {} : { dataDir });
  return pathsFor({ dataDir: await realpath(wanted.dataDir).catch(() => wanted.dataDir) });
}

async function removeEverything(
  paths: Paths,
  onRemoved: ResetOptions['onRemoved'],
): Promise<number> {
  let count = 0;
  const failures: UserError[] = [];
  const step = async (subject: string, work: () => Promise<readonly string[]>) => {
    try {
      for (const what of await work()) {
        count += 1;
        onRemoved(what);
      }
    } catch (error) {
      failures.push(describeFailure(subject, error));
    }
  };
  await step('the processes', () => endAllProcesses(paths));
  await step('the containers', () => endAllContainers(paths));
  await step('the mounts', () => unmountAll(paths));
  await step('the network namespaces', removeNetworkNamespaces);
  for (const { subject, remove } of networkRemovals()) await step(`the ${subject}`, remove);
  // The record of host settings is one of the files.
  throwCollected(failures);
  await step('the machine settings', () => undoHostSettings(hostRecordFile(paths)));
  await step('the sockets of shims', removeShimSockets);
  throwCollected(failures);
  await step('the files', () => removeNodeFiles(paths));
  throwCollected(failures);
  return count;
}

function describeFailure(subject: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  return new UserError({
    what: `remove ${subject}`,
    why: error instanceof Error ? error.message : String(error),
    fix: 'remove the cause and run mini-k8s reset --yes again: it goes on where it stopped',
    cause: error,
  });
}

async function endAllProcesses(paths: Paths): Promise<string[]> {
  const orphans = await endProcesses(paths, {
    stopTimeoutMs: 5_000,
    logger: silentLogger,
    onEvent: () => {},
  });
  return orphans.map(({ name, pid }) => `process ${name} (pid ${pid})`);
}

async function endAllContainers(paths: Paths): Promise<string[]> {
  const count = await endContainers({
    shimExecutable: `${paths.binDir}/containerd-shim-runc-v2`,
  });
  return count === 0 ? [] : [`${count} processes of containers`];
}

async function unmountAll(paths: Paths): Promise<string[]> {
  const count = await unmountBelow([paths.kubeletDir, paths.containerdDir, paths.runDir]);
  return count === 0 ? [] : [`${count} mounts`];
}
