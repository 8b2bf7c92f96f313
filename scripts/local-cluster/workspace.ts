import path from 'node:path';
import { execa } from 'execa';
import { UserError } from '../../src/base/errors.ts';

/** Name of the node, on the machine and in the cluster. */
export const NODE_NAME = 'up';

/** Where things of this checkout are. */
export interface Workspace {
  readonly root: string;
  /** `.up`: all that a running cluster keeps in the checkout; `down` removes it. */
  readonly upDirectory: string;
  readonly nodeDirectory: string;
  readonly logDirectory: string;
  readonly kubeconfig: string;
  readonly kubectl: string;
  /** Runs a command in the node. */
  readonly enterScript: string;
  /** There when the cluster runs on the machine itself. */
  readonly hostStateFile: string;
  readonly executable: string;
}

export function workspaceOf(root: string): Workspace {
  const upDirectory = path.join(root, '.up');
  return {
    root,
    upDirectory,
    nodeDirectory: path.join(upDirectory, 'node'),
    logDirectory: path.join(upDirectory, 'log'),
    kubeconfig: path.join(upDirectory, 'kubeconfig'),
    kubectl: path.join(upDirectory, 'kubectl'),
    enterScript: path.join(upDirectory, 'enter'),
    hostStateFile: path.join(upDirectory, 'host.json'),
    executable: path.join(root, 'dist', 'mini-k8s'),
  };
}

export interface Bundle {
  readonly directory: string;
  /** sha256 of its index.json, hexadecimal: what `--trust-bundle` takes. */
  readonly indexSha256: string;
}

/** Builds `dist/mini-k8s` for this machine; quick when nothing has changed. */
export async function buildExecutable(workspace: Workspace): Promise<void> {
  await runScript(workspace, ['scripts/node', 'scripts/build.ts', '--host-only']);
}

/** Builds the components; what the cache holds already is not built again. */
export async function buildComponents(workspace: Workspace): Promise<Bundle> {
  const stdout = await runScript(workspace, ['scripts/build-components']);
  const match = /^bundle (.+) sha256:([0-9a-f]{64})$/m.exec(stdout);
  if (match?.[1] !== undefined && match[2] !== undefined) {
    return { directory: match[1], indexSha256: match[2] };
  }
  throw new Error(`scripts/build-components did not say where its bundle is: ${stdout}`);
}

/** Progress goes to the terminal as it comes; the result is stdout. */
async function runScript(workspace: Workspace, argv: readonly string[]): Promise<string> {
  const [command = '', ...args] = argv;
  const result = await execa(path.join(workspace.root, command), args, {
    cwd: workspace.root,
    reject: false,
    stdin: 'ignore',
    stderr: 'inherit',
  });
  if (!result.failed) return result.stdout;
  throw new UserError({
    what: `run ${argv.join(' ')}`,
    why: `it failed (exit ${result.exitCode ?? result.signal})${result.stdout === '' ? '' : `: ${result.stdout}`}`,
    fix: `mend what it says above and run ./scripts/up again`,
  });
}
