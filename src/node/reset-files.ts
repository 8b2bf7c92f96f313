import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import { componentMembers } from '../artifacts/catalog.ts';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { Paths } from '../config/paths.ts';
import { mountsBelow, unmountMounts } from '../host/mounts.ts';
import { ownRegistryFiles, registryDirectories } from './registry-files.ts';

/**
 * Removes every file of the node and the directories that are empty then. Returns what was there.
 * @param kept paths that stay, of `existingNodeFiles`.
 * @throws UserError when something is still mounted below: it could be somebody's data.
 */
export async function removeNodeFiles(
  paths: Paths,
  kept: ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const files = (await nodeFiles(paths)).filter((file) => !kept.has(file));
  const registries = await registryDirectories();
  const removed: string[] = [];
  for (const file of files) if (await removeTree(file)) removed.push(file);
  for (const directory of [...registries, ...sharedDirectories(paths)])
    await removeIfEmpty(directory);
  return removed;
}

/** What `removeNodeFiles` would remove now: an installation that fails takes away only what came after it. */
export async function existingNodeFiles(paths: Paths): Promise<ReadonlySet<string>> {
  const files = await nodeFiles(paths);
  const found = await Promise.all(
    files.map((file) =>
      lstat(file).then(
        () => true,
        () => false,
      ),
    ),
  );
  return new Set(files.filter((_file, index) => found[index] === true));
}

async function nodeFiles(paths: Paths): Promise<string[]> {
  const cniCache = '/var/lib/cni/results';
  return [
    ...componentMembers('cni-plugins').map((name) => `${paths.cniBinDir}/${name}`),
    `${paths.cniConfDir}/10-kuberouter.conflist`,
    '/var/lib/cni/networks/kubernetes',
    ...(await entriesOf(cniCache, /^(cni-loopback|kubernetes)-/)),
    // Left there, a later controller's containerd would ask the old cluster, without a certificate, and pull nothing.
    ...(await ownRegistryFiles()),
    '/run/containerd/runc/k8s.io',
    '/var/log/pods',
    '/var/log/containers',
    paths.kubeletDir,
    ...(await ownDataEntries(paths)),
    paths.runDir,
  ];
}

/** What is ours in the data directory: it may be a disk that has more on it, or a name mistyped. */
async function ownDataEntries(paths: Paths): Promise<string[]> {
  const { dataDir } = paths;
  return [
    ...[paths.storeDir, paths.binDir, paths.pkiDir, paths.etcdDir, paths.containerdDir],
    ...[paths.manifestsDir, paths.staticPodDir, paths.stateDir, paths.etcDir, paths.auditDir],
    ...(await entriesOf(dataDir, /^\.probe-/)),
  ];
}

/** Shared with other software, or made by kubelet on behalf of a pod: removed only when nothing is in them, children first. */
function sharedDirectories(paths: Paths): readonly string[] {
  return [
    ...[paths.cniConfDir, '/etc/cni', paths.cniBinDir, '/opt/cni'],
    ...['/var/lib/cni/results', '/var/lib/cni/networks', '/var/lib/cni'],
    ...['/run/containerd/runc', '/run/containerd/s', '/run/containerd', '/run/netns'],
    paths.dataDir,
    '/usr/libexec/kubernetes/kubelet-plugins/volume/exec',
    '/usr/libexec/kubernetes/kubelet-plugins/volume',
    '/usr/libexec/kubernetes/kubelet-plugins',
    '/usr/libexec/kubernetes',
    '/lib/modules',
  ];
}

/** containerd makes them as `/run/netns/cni-<uuid>`: a mounted file each. Returns what was removed, for a person. */
export async function removeNetworkNamespaces(): Promise<string[]> {
  const files = await entriesOf('/run/netns', /^cni-/);
  await unmountMounts((point) => files.includes(point));
  for (const file of files) await rm(file);
  return files.length === 0 ? [] : [`${files.length} network namespaces`];
}

/** containerd's shims listen in one directory for all containerds of a machine: only sockets that nobody has any more. */
export async function removeShimSockets(): Promise<string[]> {
  const listening = (await readTextIfExists('/proc/net/unix')) ?? '';
  const dead = (await entriesOf('/run/containerd/s', /^[0-9a-f]{64}$/)).filter(
    (socket) => !listening.includes(socket),
  );
  for (const socket of dead) await rm(socket);
  return dead.length === 0 ? [] : [`${dead.length} sockets of shims`];
}

/** @returns whether there was something. */
async function removeTree(file: string): Promise<boolean> {
  const found = await lstat(file).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  });
  if (found === undefined) return false;
  const [mounted] = await mountsBelow([file]);
  if (mounted !== undefined) {
    throw new UserError({
      what: `remove ${file}`,
      why: `${mounted} is mounted in it, and mini-k8s did not mount it`,
      fix: `umount ${mounted}, then run mini-k8s reset --yes again`,
    });
  }
  if (!found.isDirectory()) {
    await rm(file);
    return true;
  }
  const entries = await entriesOf(file, /./);
  for (const entry of entries) await rm(entry, { recursive: true, force: true });
  // A directory on which a disk is mounted is the machine's, not ours.
  const isGone = await removeIfEmpty(file);
  return isGone || entries.length > 0;
}

async function entriesOf(directory: string, pattern: RegExp): Promise<string[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => pattern.test(name)).map((name) => `${directory}/${name}`);
}

async function removeIfEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    const known = ['ENOENT', 'ENOTEMPTY', 'EBUSY', 'ENOTDIR', 'EROFS'];
    if (known.includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}
