import { readFile } from 'node:fs/promises';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import { kubeconfigPath, pair, pkiFiles } from '../components/layout.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { renderKubeconfig } from '../pki/kubeconfig.ts';
import { fetchStatus } from './status-server.ts';

export interface AdminKubeconfigOptions {
  readonly dataDir?: string;
  /** `https://host:port`; the running node's own address when left out. */
  readonly server?: string;
}

/**
 * The administrator's kubeconfig with keys embedded, for use on another machine.
 * @throws UserError when this machine is no controller, or for a user who may not read the keys.
 */
export async function renderAdminKubeconfig(options: AdminKubeconfigOptions): Promise<string> {
  const paths = pathsFor(options);
  const files = pair(paths.pkiDir, 'admin-client');
  try {
    return renderKubeconfig({
      server: options.server ?? (await ownServer(paths)),
      caData: await readFile(pkiFiles(paths).ca.certFile, 'utf8'),
      certData: await readFile(files.certFile, 'utf8'),
      keyData: await readFile(files.keyFile, 'utf8'),
      userName: 'kubernetes-admin',
    });
  } catch (error) {
    throw explain(error, paths);
  }
}

/** The file that `mini-k8s kubectl` uses. @throws UserError when this machine is no controller. */
export async function adminKubeconfigFile(dataDir: string | undefined): Promise<string> {
  const paths = pathsFor(dataDir === undefined ? {} : { dataDir });
  const file = kubeconfigPath(paths, 'admin');
  try {
    if ((await readTextIfExists(file)) !== undefined) return file;
  } catch (error) {
    throw explain(error, paths);
  }
  throw notAController(paths);
}

async function ownServer(paths: Paths): Promise<string> {
  const text = (await readTextIfExists(kubeconfigPath(paths, 'admin'))) ?? '';
  const port = /server: "?https:\/\/[^:]+:(\d+)/.exec(text)?.[1] ?? '6443';
  const address = await fetchStatus(paths.statusSocket).then(
    (status) => status.node.address,
    // Not running: the address of this machine that works from this machine.
    () => '127.0.0.1',
  );
  return `https://${address}:${port}`;
}

function explain(error: unknown, paths: Paths): unknown {
  if (errorCode(error) === 'ENOENT') return notAController(paths);
  if (errorCode(error) !== 'EACCES') return error;
  return new UserError({
    what: 'read the administrator kubeconfig',
    why: `the keys in ${paths.pkiDir} are for root only`,
    fix: 'run it with sudo',
  });
}

function notAController(paths: Paths): UserError {
  return new UserError({
    what: 'read the administrator kubeconfig',
    why: `there is no cluster in ${paths.dataDir}`,
    fix: 'start one with: mini-k8s controller (or name its --data-dir)',
  });
}
