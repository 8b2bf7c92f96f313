import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Paths } from '../config/paths.ts';

const run = promisify(execFile);

/** `ctr` with these arguments, ended after so long (10 s unless given, milliseconds); throws with its exit code. */
export type Ctr = (args: readonly string[], timeoutMs?: number) => Promise<string>;

/** Its errors have no more than the exit code: a command of a pod may be in what is called, and a secret in that. */
export function containerdClient({
  binDir,
  containerdSocket,
}: Pick<Paths, 'binDir' | 'containerdSocket'>): Ctr {
  const common = ['--address', containerdSocket, '--namespace', 'k8s.io'];
  return async (args, timeoutMs = 10_000) => {
    const result = run(`${binDir}/ctr`, [...common, ...args], {
      timeout: timeoutMs,
      // ctr passes every signal that it can catch on to the command that it runs, and waits for its end.
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 1024 * 1024,
    });
    // A hook of a pod has no stdin with kubelet either, and one that reads would wait for its end.
    result.child.stdin?.end();
    const { stdout } = await result.catch((error: { code?: unknown; killed?: boolean }) => {
      const why = error.killed === true ? 'took too long' : `ended with ${String(error.code)}`;
      throw new Error(`ctr ${args[0]} ${args[1]} ${why}`);
    });
    return stdout;
  };
}
