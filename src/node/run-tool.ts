import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import os from 'node:os';
import { UserError } from '../base/errors.ts';
import { pair, pkiFiles } from '../components/layout.ts';
import { defaultDataDir, type Paths, pathsFor } from '../config/paths.ts';
import { adminKubeconfigFile } from './admin-kubeconfig.ts';
import { readConfig } from './prepare.ts';

export interface ToolOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs one of the packaged tools with this node's credentials, its terminal and its signals; resolves with its exit
 * code, 128 + n when signal n ended it. `MINI_K8S_DATA_DIR` names another data directory.
 * @throws UserError when the tool or the credentials are not there.
 */
export async function runTool(
  tool: 'kubectl' | 'ctr' | 'etcdctl',
  options: ToolOptions,
): Promise<number> {
  const paths = pathsFor({ dataDir: options.env.MINI_K8S_DATA_DIR ?? defaultDataDir });
  const executable = await findTool(tool, paths, options.env);
  const env = { ...options.env, ...(await credentials(tool, paths, options.env)) };
  return new Promise((resolve, reject) => {
    const child = spawn(executable, [...options.args], { stdio: 'inherit', env });
    // The terminal sends Ctrl-C to both: the tool decides, and we wait for it.
    const ignore = () => {};
    process.on('SIGINT', ignore);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal]));
    });
  });
}

async function findTool(tool: string, paths: Paths, env: ToolOptions['env']): Promise<string> {
  const own = `${paths.binDir}/${tool}`;
  if (await isExecutable(own)) return own;
  // A machine that is no node may have the tool, and a kubeconfig, of its own.
  const elsewhere = (env.PATH ?? '').split(':').map((directory) => `${directory}/${tool}`);
  for (const candidate of elsewhere) if (await isExecutable(candidate)) return candidate;
  throw new UserError({
    what: `run ${tool}`,
    why: `${own} is not there, and there is none in PATH`,
    fix: 'start a node first: mini-k8s controller',
  });
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function credentials(
  tool: string,
  paths: Paths,
  env: ToolOptions['env'],
): Promise<Record<string, string>> {
  if (tool === 'kubectl') {
    return (env.KUBECONFIG ?? '') === ''
      ? { KUBECONFIG: await adminKubeconfigFile(paths.dataDir) }
      : {};
  }
  if (tool === 'ctr') {
    return { CONTAINERD_ADDRESS: paths.containerdSocket, CONTAINERD_NAMESPACE: 'k8s.io' };
  }
  const client = pair(paths.pkiDir, 'kube-apiserver-etcd-client');
  const { clientPort } = (await readConfig({})).spec.storage.etcd;
  return {
    ETCDCTL_ENDPOINTS: `https://127.0.0.1:${clientPort}`,
    ETCDCTL_CACERT: pkiFiles(paths).etcdCa.certFile,
    ETCDCTL_CERT: client.certFile,
    ETCDCTL_KEY: client.keyFile,
  };
}
