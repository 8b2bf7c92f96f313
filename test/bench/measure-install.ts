import { isDeepStrictEqual } from 'node:util';
import { pidsOf } from '../support/e2e/faults.ts';
import { bootMachine, downloadedBundle, downloads, type Machine } from '../support/e2e/machine.ts';

export interface InstallResult {
  /** `controller install` on a machine that has nothing but the bundle, until every addon is Ready. */
  readonly installMs: number;
  /** The same command again: there is nothing to change. */
  readonly reinstallMs: number;
}

const INSTALL_TIMEOUT_MS = 240_000;

/** Installs the controller on a machine with systemd, 1 vCPU and 1 GiB, `runs` times, each time a new machine. */
export async function measureInstalls(
  runs: number,
  onResult: (result: InstallResult, run: number) => void,
): Promise<readonly InstallResult[]> {
  const results: InstallResult[] = [];
  for (let run = 1; run <= runs; run += 1) {
    const name = `bench-${process.pid}-install`;
    const machine = await bootMachine('systemd', { name });
    try {
      const result = await measureInstall(machine);
      onResult(result, run);
      results.push(result);
    } finally {
      await machine.node.destroy();
    }
  }
  return results;
}

async function measureInstall(machine: Machine): Promise<InstallResult> {
  await machine.node.dropCaches();
  const installMs = await install(machine);
  const before = pidsOf(await machine.status());
  const reinstallMs = await install(machine);
  const after = pidsOf(await machine.status());
  if (isDeepStrictEqual(before, after)) return { installMs, reinstallMs };
  const [was, is] = [before, after].map((pids) => JSON.stringify(pids));
  throw new Error(`An installation that changed nothing restarted components: ${was} → ${is}`);
}

/** Until the command has ended and everything is Ready: the command waits for that by itself. @returns milliseconds. */
async function install(machine: Machine): Promise<number> {
  const startedAt = performance.now();
  const command = [downloads.executable, 'controller', 'install', ...downloadedBundle()];
  await machine.node.run(command, { timeoutMs: INSTALL_TIMEOUT_MS });
  await machine.waitReady();
  return Math.round(performance.now() - startedAt);
}
