import { access, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, throwCollected, UserError } from '../base/errors.ts';
import type { Paths } from '../config/paths.ts';
import { describeDiskError, examineDataDirectory } from '../doctor/data-directory.ts';
import { examineForStart, type StartProbe } from '../doctor/probes.ts';
import type { Verdict } from '../doctor/types.ts';
import { machineOf } from './machine.ts';
import { joinDocumentFile } from './membership.ts';
import type { PreparedNode } from './prepare.ts';

/** @throws UserError when this process is not root. */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return;
  throw new UserError({
    what,
    why: `it needs root, and this is uid ${process.getuid?.()}`,
    fix: 'run it with sudo',
  });
}

/**
 * The doctor's probes that are for a start; those `locked` only once nothing of ours runs any more.
 * @throws UserError or UserErrors: everything that would keep this node from working.
 */
export async function checkMachine(
  node: PreparedNode,
  when: StartProbe['atStart'],
  signal: AbortSignal,
): Promise<void> {
  throwFailures(await examineForStart(machineOf(node), when, signal));
}

/** @throws UserError when the data directory cannot be made, written, or has no room. */
export async function checkDataDirectory(paths: Paths): Promise<void> {
  try {
    await makeDirectory(paths.dataDir);
  } catch (error) {
    throw new UserError({
      what: `use data directory ${paths.dataDir}`,
      why: describeDiskError(error),
      fix: 'make room or choose another directory with --data-dir',
      cause: error,
    });
  }
  throwFailures(await examineDataDirectory({ paths }));
}

function throwFailures(verdicts: readonly Verdict[]): void {
  const failures = verdicts.filter((verdict) => verdict.state === 'fail');
  throwCollected(
    failures.map(
      ({ prevents, why, fix }) =>
        new UserError({ what: prevents, why, ...(fix === undefined ? {} : { fix }) }),
    ),
  );
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

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
