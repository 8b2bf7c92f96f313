import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import os from 'node:os';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import { etcdctlEnvironmentPath } from '../components/etcd.ts';
import { defaultDataDir, type Paths, pathsFor } from '../config/paths.ts';
import { adminKubeconfigFile } from './admin-kubeconfig.ts';
import { readHolder } from './lock.ts';

export interface ToolOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs one of the packaged tools with this node's credentials, its terminal and its signals; resolves with its exit
 * code, 128 + n when signal n ended it. `MINI_K8S_DATA_DIR` names another data directory than the running node's.
 * @throws UserError when the tool or the credentials are not there.
 */
export async function runTool(
  tool: 'kubectl' | 'ctr' | 'etcdctl',
  options: ToolOptions,
): Promise<number> {
  const paths = pathsFor({ dataDir: await findDataDir(options.env) });
  const executable = await findTool(tool, paths, options.env);
  const env = { ...options.env, ...(await credentials(tool, paths, options.env)) };
  return new Promise((resolve, reject) => {
    const child = spawn(executable, [...options.args], { stdio: 'inherit', env });
    // The terminal sends Ctrl-C to both: the tool decides, and we wait for it. Whoever ends us means the tool.
    const ignore = () => {};
    const passOn = (signal: NodeJS.Signals) => child.kill(signal);
    const stopListening = () => {
      process.off('SIGINT', ignore);
      for (const signal of passedOn) process.off(signal, passOn);
    };
    process.on('SIGINT', ignore);
    for (const signal of passedOn) process.on(signal, passOn);
    child.once('error', (error) => {
      stopListening();
      reject(error);
    });
    child.once('exit', (code, signal) => {
      stopListening();
      resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal]));
    });
  });
}

const passedOn = ['SIGTERM', 'SIGHUP'] as const;
const startFirst = 'start one with: mini-k8s controller';

/** The environment's, else the running node's, else the default. */
async function findDataDir(env: ToolOptions['env']): Promise<string> {
  const named = env.MINI_K8S_DATA_DIR ?? '';
  if (named !== '') return named;
  // Only root may read who runs, and only root has credentials.
  const holder = await readHolder(pathsFor()).catch(() => undefined);
  return holder?.dataDir ?? defaultDataDir;
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
      ? { KUBECONFIG: await adminKubeconfigFile(paths.dataDir, 'run kubectl', startFirst) }
      : {};
  }
  if (tool === 'ctr') {
    return { CONTAINERD_ADDRESS: paths.containerdSocket, CONTAINERD_NAMESPACE: 'k8s.io' };
  }
  return readEtcdctlEnvironment(paths);
}

async function readEtcdctlEnvironment(paths: Paths): Promise<Record<string, string>> {
  const file = etcdctlEnvironmentPath(paths);
  const problem = (why: string, fix: string) => new UserError({ what: 'run etcdctl', why, fix });
  try {
    const text = await readTextIfExists(file);
    if (text !== undefined) return JSON.parse(text) as Record<string, string>;
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    throw problem(`${file} is for root only`, 'run it with sudo');
  }
  throw problem(`there is no cluster in ${paths.dataDir}`, startFirst);
}
