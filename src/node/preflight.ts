import { access, mkdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorMessage, throwCollected, UserError } from '../base/errors.ts';
import { kubeProxyMode } from '../components/kube-proxy.ts';
import { ports } from '../components/layout.ts';
import type { Paths } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import { probeWritable } from './host-facts.ts';
import { joinDocumentFile } from './membership.ts';
import { checkPorts, type PortUse, portClashes } from './port-check.ts';
import type { PreparedNode } from './prepare.ts';

/** Less free space than this and etcd, containerd and kubelet fail one after the other. */
const minimumFreeBytes = 256 * 1024 * 1024;
/** A cluster that exists must start on a disk that is nearly full: how else could anybody delete something? */
const minimumFreeBytesLater = 32 * 1024 * 1024;

/** @throws UserError when this process is not root. */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return;
  throw new UserError({
    what,
    why: `it needs root, and this is uid ${process.getuid?.()}`,
    fix: 'run it with sudo',
  });
}

/** @throws UserError when the data directory cannot be made, written, or has no room. */
export async function checkDataDirectory(paths: Paths): Promise<void> {
  const what = `use data directory ${paths.dataDir}`;
  try {
    await makeDirectory(paths.dataDir);
    await probeWritable(paths.dataDir);
  } catch (error) {
    throw new UserError({
      what,
      why: describeDiskError(error),
      fix: 'make room or choose another directory with --data-dir',
      cause: error,
    });
  }
  const { bavail, bsize } = await statfs(paths.dataDir);
  const freeBytes = bavail * bsize;
  const isLater = await exists(`${paths.etcdDir}/member`);
  const neededBytes = isLater ? minimumFreeBytesLater : minimumFreeBytes;
  if (freeBytes >= neededBytes) return;
  throw new UserError({
    what,
    why: `only ${mebibytes(freeBytes)} MiB are free there, ${mebibytes(neededBytes)} MiB are needed`,
    fix: 'make room or choose another directory with --data-dir',
  });
}

/** @throws UserError when a worker would start in the data directory of a controller. */
export async function requireNoControlPlane(paths: Paths): Promise<void> {
  if (!(await exists(`${paths.etcdDir}/member`))) return;
  throw new UserError({
    what: 'start the worker',
    why: `this machine is a controller: there is a cluster's data in ${paths.etcdDir}`,
    fix: 'start it with mini-k8s controller, which runs pods too; to give that cluster up: mini-k8s reset --yes',
  });
}

/** @throws UserError when a controller would start in the data directory of a worker. */
export async function requireNoMembership(paths: Paths): Promise<void> {
  if (!(await exists(joinDocumentFile(paths)))) return;
  throw new UserError({
    what: 'start the controller',
    why: `this machine is a worker of a cluster: ${joinDocumentFile(paths)} is there`,
    fix: 'start it with mini-k8s worker; to make it a cluster of its own: mini-k8s reset --yes first',
  });
}

/** @throws UserError when the program that kube-proxy's mode needs is not on the machine. */
export function checkServiceTools(node: Pick<PreparedNode, 'config' | 'host' | 'plan'>): void {
  if (!node.plan.processes.some(({ name }) => name === 'kube-proxy')) return;
  const { host } = node;
  const mode = kubeProxyMode(node);
  if (mode === 'nftables' ? host.hasNftables : host.hasIptables) return;
  const isChosen = node.config.spec.network.kubeProxy.mode !== 'auto';
  const iptables = isChosen ? 'iptables is not' : 'neither nft 1.0.1 or newer nor iptables is';
  throw new UserError({
    what: 'start kube-proxy',
    why: `${mode === 'nftables' ? 'nft 1.0.1 or newer is not' : iptables} on this machine`,
    fix: 'install nftables (apt-get install nftables), or set spec.network.kubeProxy.enabled: false and bring another implementation of Services',
  });
}

/** Node.js hides behind ENOENT why the kernel would not make a missing part, such as a read-only disk: one by one then. */
async function makeDirectory(directory: string): Promise<void> {
  const options = { recursive: true, mode: 0o711 };
  try {
    await mkdir(directory, options);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    await makeDirectory(path.dirname(directory));
    await mkdir(directory, { mode: options.mode });
  }
}

/** @throws UserError or UserErrors: every one of these ports that is taken. */
export async function checkFreePorts(uses: readonly PortUse[]): Promise<void> {
  throwCollected([...portClashes(uses), ...(await checkPorts(uses))]);
}

/** Every port of the control plane and of the node. With a CNI that does kube-proxy's work, that one may have its ports. */
export function portUses(config: ClusterConfig, runsWorkloads: boolean): PortUse[] {
  const { api, storage } = config.spec;
  const controlPlane: PortUse[] = [
    { port: api.port, component: 'kube-apiserver', field: 'spec.api.port' },
    { port: storage.etcd.clientPort, component: 'etcd', field: 'spec.storage.etcd.clientPort' },
    { port: storage.etcd.peerPort, component: 'etcd', field: 'spec.storage.etcd.peerPort' },
    { port: ports.etcdMetrics, component: 'etcd' },
    { port: ports.controllerManager, component: 'kube-controller-manager' },
    { port: ports.scheduler, component: 'kube-scheduler' },
  ];
  return [...controlPlane, ...(runsWorkloads ? nodePortUses(config) : [])];
}

/** The ports of a worker: those of the node, and the API's on loopback. */
export function workerPortUses(config: ClusterConfig): PortUse[] {
  const { port } = config.spec.api;
  return [{ port, component: 'the local API endpoint' }, ...nodePortUses(config)];
}

function nodePortUses({ spec }: ClusterConfig): PortUse[] {
  return [
    { port: ports.kubelet, component: 'kubelet' },
    { port: ports.kubeletHealthz, component: 'kubelet' },
    ...(spec.network.kubeProxy.enabled
      ? [
          { port: ports.kubeProxyHealthz, component: 'kube-proxy' },
          { port: ports.kubeProxyMetrics, component: 'kube-proxy' },
        ]
      : []),
  ];
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

function describeDiskError(error: unknown): string {
  const known: Record<string, string> = {
    EROFS: 'the file system is read-only',
    ENOSPC: 'the file system is full',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'permission denied',
    ENOTDIR: 'a part of the path is not a directory',
  };
  return known[errorCode(error) ?? ''] ?? errorMessage(error);
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 / 1024);
}
