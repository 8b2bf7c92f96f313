import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { errorMessage, UserError } from '../base/errors.ts';
import { childEnvironment } from './environment.ts';
import { explainSpawnError } from './explain-spawn-error.ts';
import type { ProcessSpec } from './types.ts';

/**
 * Opens a component's log for appending, owner-only.
 * @throws UserError naming the file.
 */
export function openLog(name: string, file: string): number {
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    return openSync(file, 'a', 0o600);
  } catch (error) {
    throw new UserError({
      what: `start ${name}`,
      why: `its output cannot be written to ${file} (${errorMessage(error)})`,
      fix: `make room on, or mount writable, the file system of ${path.dirname(file)}`,
      cause: error,
    });
  }
}

export interface SpawnedChild {
  readonly child: ChildProcess;
  readonly pid: number;
}

/**
 * Starts a process in a group and session of its own, with /dev/null for input and the log for output.
 * Resolves in the same turn when there is a child, so that its exit cannot be missed.
 * @throws UserError saying why it cannot be executed.
 */
export function spawnChild(
  spec: ProcessSpec,
  instance: string,
  logFd: number,
): Promise<SpawnedChild> {
  return new Promise((resolve, reject) => {
    const explain = (error: unknown) => explainSpawnError(spec.name, spec.executable, error);
    try {
      const child = spawn(spec.executable, spec.args, {
        cwd: '/',
        env: childEnvironment({ name: spec.name, instance, env: spec.env }),
        stdio: ['ignore', logFd, logFd],
        detached: true,
        ...(spec.uid === undefined ? {} : { uid: spec.uid }),
        ...(spec.gid === undefined ? {} : { gid: spec.gid }),
      });
      // Node.js reports most refusals by an event, with no pid, and the rest by throwing.
      child.on('error', (error) => reject(explain(error)));
      if (child.pid !== undefined) resolve({ child, pid: child.pid });
    } catch (error) {
      reject(explain(error));
    }
  });
}
