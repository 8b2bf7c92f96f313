import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import { componentMembers } from '../artifacts/catalog.ts';
import { UserError } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { endContainers } from '../host/container-processes.ts';
import { unmountBelow } from '../host/mounts.ts';
import { removeNetworkRules } from '../host/network-rules.ts';
import { undoHostSettings } from '../host/undo-host-settings.ts';
import { endOrphans } from '../supervisor/orphans.ts';
import { instanceOf, pidDir } from './components.ts';
import { describeHolder, isLocked } from './lock.ts';
import { requireRoot } from './preflight.ts';
import { hostRecordFile } from './realise.ts';

export interface ResetOptions {
  readonly dataDir?: string;
  /** Called for each thing, as it continues "removed …". */
  readonly onRemoved: (what: string) => void;
}

/** Executables that may still run when the supervisor was killed. */
const executables = [
  ...['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'],
  ...['kubelet', 'kube-proxy', 'containerd'],
];

/**
 * Undoes everything that a node did on this machine; what the user wrote (the configuration file) stays. Idempotent:
 * a second run finds nothing.
 * @returns how many things were removed.
 * @throws UserError while the node runs.
 */
export async function resetNode(options: ResetOptions): Promise<number> {
  requireRoot('reset this node');
  const paths = pathsFor(options.dataDir === undefined ? {} : { dataDir: options.dataDir });
  if (await isLocked(paths)) {
    throw new UserError({
      what: 'reset this node',
      why: `${await describeHolder(paths)} is running`,
      fix: 'stop it first (Ctrl-C, or kill -TERM that pid)',
    });
  }
  let count = 0;
  const removed = (what: string) => {
    count += 1;
    options.onRemoved(what);
  };
  await endProcesses(paths, removed);
  const mounts = await unmountBelow([paths.kubeletDir, paths.containerdDir, paths.runDir]);
  if (mounts > 0) removed(`${mounts} mounts`);
  await removeNetworkNamespaces(removed);
  for (const what of await removeNetworkRules()) removed(what);
  for (const what of await undoHostSettings(hostRecordFile(paths))) removed(what);
  await removeFiles(paths, removed);
  return count;
}

async function endProcesses(paths: Paths, removed: (what: string) => void): Promise<void> {
  await endOrphans({
    pidDir: pidDir(paths),
    instance: instanceOf(paths),
    executables: executables.map((name) => `${paths.binDir}/${name}`),
    stopTimeoutMs: 5_000,
    logger: silentLogger,
    onEvent: (event) => {
      if (event.type === 'orphan-ended') removed(`process ${event.name} (pid ${event.pid})`);
    },
  });
  const containers = await endContainers({
    shimExecutable: `${paths.binDir}/containerd-shim-runc-v2`,
  });
  if (containers > 0) removed(`${containers} processes of containers`);
}

/** containerd makes them as `/run/netns/cni-<uuid>`: a mounted file each. */
async function removeNetworkNamespaces(removed: (what: string) => void): Promise<void> {
  const directory = '/run/netns';
  const names = (await readdir(directory).catch(() => [])).filter((name) =>
    name.startsWith('cni-'),
  );
  for (const name of names) {
    await unmountBelow([`${directory}/${name}`]);
    await rm(`${directory}/${name}`);
  }
  if (names.length > 0) removed(`${names.length} network namespaces`);
}

async function removeFiles(paths: Paths, removed: (what: string) => void): Promise<void> {
  const cniPlugins = componentMembers('cni-plugins').map((name) => `${paths.cniBinDir}/${name}`);
  const files = [
    paths.dataDir,
    paths.kubeletDir,
    `${paths.cniConfDir}/10-kuberouter.conflist`,
    ...cniPlugins,
    '/var/lib/cni/networks/kubernetes',
    '/var/lib/cni/results',
    '/var/log/pods',
    '/var/log/containers',
    paths.runDir,
  ];
  for (const file of files) {
    if (!(await isThere(file))) continue;
    await rm(file, { recursive: true, force: true });
    removed(file);
  }
  // Shared with other software: only when nothing of it is left.
  for (const directory of [
    paths.cniConfDir,
    '/etc/cni',
    paths.cniBinDir,
    '/opt/cni',
    '/var/lib/cni',
  ]) {
    await rmdir(directory).catch(() => undefined);
  }
}

async function isThere(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  );
}
