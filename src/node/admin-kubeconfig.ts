import { readFile } from 'node:fs/promises';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import { kubeconfigPath, pair, pkiFiles } from '../components/layout.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import type { KubeconfigEntry } from '../pki/merge-kubeconfig.ts';
import { fetchStatus } from './status-server.ts';

export interface AdminKubeconfigOptions {
  readonly dataDir?: string;
  /** `https://host:port`; the running node's own address when left out. */
  readonly server?: string;
  /** What the cluster is called in the file; `mini-k8s` when left out. */
  readonly clusterName?: string;
}

const readsAdmin = 'read the administrator kubeconfig';
const nameController = 'run it on a controller, or name its --data-dir';

export const defaultClusterName = 'mini-k8s';

/**
 * The administrator's access with keys embedded, for use on another machine. All names in it begin with the cluster's:
 * in a file with several clusters, `kubernetes-admin` would be another's.
 * @throws UserError when this machine is no controller, or for a user who may not read the keys.
 */
export async function readAdminEntry(options: AdminKubeconfigOptions): Promise<KubeconfigEntry> {
  const paths = pathsFor(options);
  const files = pair(paths.pkiDir, 'admin-client');
  const clusterName = options.clusterName ?? defaultClusterName;
  requireName(clusterName);
  try {
    return {
      server: options.server ?? (await ownServer(paths)),
      caData: await readFile(pkiFiles(paths).ca.certFile, 'utf8'),
      certData: await readFile(files.certFile, 'utf8'),
      keyData: await readFile(files.keyFile, 'utf8'),
      clusterName,
      userName: `${clusterName}-admin`,
      contextName: clusterName,
    };
  } catch (error) {
    throw explainNoAccess(error, readsAdmin, paths);
  }
}

/**
 * The file that `mini-k8s kubectl` uses.
 * @param what for the message, as `fix` is where there is no cluster.
 * @throws UserError when this machine is no controller, or for a user who may not read the keys.
 */
export async function adminKubeconfigFile(
  dataDir: string | undefined,
  what = readsAdmin,
  fix = nameController,
): Promise<string> {
  const paths = pathsFor(dataDir === undefined ? {} : { dataDir });
  const file = kubeconfigPath(paths, 'admin');
  try {
    if ((await readTextIfExists(file)) !== undefined) return file;
  } catch (error) {
    throw explainNoAccess(error, what, paths);
  }
  throw notAController(what, paths, fix);
}

/** `https://host:port` of this controller's API, as other machines reach it while it runs. */
export async function ownServer(paths: Paths): Promise<string> {
  const text = (await readTextIfExists(kubeconfigPath(paths, 'admin'))) ?? '';
  const port = /server: "?https:\/\/[^:]+:(\d+)/.exec(text)?.[1] ?? '6443';
  const address = await fetchStatus(paths.statusSocket).then(
    (status) => status.node.address,
    // Not running: the address of this machine that works from this machine.
    () => '127.0.0.1',
  );
  return `https://${address}:${port}`;
}

/** @throws UserError for a name that would have to be quoted wherever it is used. */
export function requireName(name: string): void {
  if (/^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(name)) return;
  throw new UserError({
    what: `call the cluster ${JSON.stringify(name.slice(0, 80))}`,
    why: 'it is not a name of letters, digits and - . _ that begins and ends with a letter or digit',
    fix: 'use --name with a name such as greenhouse',
  });
}

/** What a failed look at a controller's keys means to the user. */
export function explainNoAccess(error: unknown, what: string, paths: Paths): unknown {
  if (errorCode(error) === 'ENOENT') return notAController(what, paths);
  if (errorCode(error) !== 'EACCES') return error;
  return new UserError({
    what,
    why: `the keys in ${paths.pkiDir} are for root only`,
    fix: 'run it with sudo',
  });
}

function notAController(what: string, paths: Paths, fix = nameController): UserError {
  return new UserError({ what, why: `there is no cluster in ${paths.dataDir}`, fix });
}
