import { mkdir, statfs } from 'node:fs/promises';
import { errorCode, errorMessage, throwCollected, UserError } from '../base/errors.ts';
import { ports } from '../components/layout.ts';
import type { Paths } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import { probeWritable } from './host-facts.ts';
import { checkPorts, type PortUse } from './port-check.ts';

/** Less free space than this and etcd, containerd and kubelet fail one after the other. */
const minimumFreeBytes = 256 * 1024 * 1024;

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
    await mkdir(paths.dataDir, { recursive: true, mode: 0o711 });
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
  if (freeBytes >= minimumFreeBytes) return;
  throw new UserError({
    what,
    why: `only ${mebibytes(freeBytes)} MiB are free there, ${mebibytes(minimumFreeBytes)} MiB are needed`,
    fix: 'make room or choose another directory with --data-dir',
  });
}

/** @throws UserError or UserErrors: every port of the control plane and the node that is taken. */
export async function checkFreePorts(config: ClusterConfig, runsWorkloads: boolean): Promise<void> {
  const { api, storage } = config.spec;
  const controlPlane: PortUse[] = [
    { port: api.port, component: 'kube-apiserver', field: 'spec.api.port' },
    { port: storage.etcd.clientPort, component: 'etcd', field: 'spec.storage.etcd.clientPort' },
    { port: storage.etcd.peerPort, component: 'etcd', field: 'spec.storage.etcd.peerPort' },
    { port: ports.etcdMetrics, component: 'etcd' },
    { port: ports.controllerManager, component: 'kube-controller-manager' },
    { port: ports.scheduler, component: 'kube-scheduler' },
  ];
  const node: PortUse[] = [
    { port: ports.kubelet, component: 'kubelet' },
    { port: ports.kubeletHealthz, component: 'kubelet' },
    { port: ports.kubeProxyHealthz, component: 'kube-proxy' },
    { port: ports.kubeProxyMetrics, component: 'kube-proxy' },
  ];
  throwCollected(await checkPorts([...controlPlane, ...(runsWorkloads ? node : [])]));
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
