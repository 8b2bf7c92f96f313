import { execFile } from 'node:child_process';
import { access, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import type { Paths } from '../config/paths.ts';
import { endContainers } from '../host/container-processes.ts';
import type { Component } from '../supervisor/types.ts';
import { type Ctr, containerdClient } from './containerd-client.ts';
import { type PodContainer, readContainers, stopWaves } from './pod-containers.ts';

const run = promisify(execFile);

/** No pod may hold up a machine that goes down for longer than this, whatever grace it wants; milliseconds. */
const maxGraceMs = 60_000;
const pollMs = 200;

/** As kubelet has it: a container whose hook took all its time still gets so long for its signal; milliseconds. */
const leastAfterHookMs = 2_000;

export interface EndPodsOptions {
  readonly paths: Paths;
  readonly logger: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Asks the next stop of the supervisor to take the pods along. */
export async function askToEndPods(paths: Paths): Promise<void> {
  await writeFile(requestFile(paths), '');
}

/**
 * containerd as a component whose stop takes the pods along when the machine goes down or somebody asked for it: at
 * that time the kubelet has ended, which would start them again, and containerd still knows how each container wants
 * to be stopped. Shims do not end by themselves; left alone they hold up a shutdown until the service manager kills them.
 */
export function endingPods(component: Component, options: EndPodsOptions): Component {
  return {
    ...component,
    start: async (signal) => {
      const running = await component.start(signal);
      let stopping: Promise<void> | undefined;
      const stop = async () => {
        const takesPods = await wantsPodsEnded(options);
        if (takesPods) await stopContainers(options);
        await running.stop();
        if (takesPods) await endShims(options.paths);
      };
      return {
        ...(running.pid === undefined ? {} : { pid: running.pid }),
        terminated: running.terminated,
        waitReady: (ready) => running.waitReady(ready),
        lastOutput: () => running.lastOutput?.() ?? [],
        stop: () => {
          stopping ??= stop();
          return stopping;
        },
      };
    },
  };
}

/** Kills what is left of pods, and takes the request back. Nothing there is nothing done. */
export async function endShims(paths: Paths): Promise<void> {
  await endContainers({ shimExecutable: `${paths.binDir}/containerd-shim-runc-v2` });
  await rm(requestFile(paths), { force: true });
}

function requestFile(paths: Paths): string {
  return `${paths.runDir}/end-pods`;
}

async function wantsPodsEnded({ paths, env, logger }: EndPodsOptions): Promise<boolean> {
  const isAsked = await access(requestFile(paths)).then(
    () => true,
    () => false,
  );
  if (isAsked || env['NOTIFY_SOCKET'] === undefined) return isAsked;
  // It exits with an error in every state but one; its word counts.
  const isGoingDown = await run('systemctl', ['is-system-running'], { timeout: 5_000 }).then(
    () => false,
    (error: unknown) => (error as { stdout?: string }).stdout?.trim() === 'stopping',
  );
  if (isGoingDown) logger.info('The machine goes down: pods end first');
  return isGoingDown;
}

/** The user's pods first, then those of the system that they may need on their way down, such as DNS. */
async function stopContainers(options: EndPodsOptions): Promise<void> {
  const ctr = containerdClient(options.paths);
  try {
    for (const wave of stopWaves(await readContainers((...args) => ctr(args)))) {
      await stopWave(wave, ctr, options);
    }
  } catch (error) {
    options.logger.warn('Containers could not be stopped gently', { reason: errorMessage(error) });
  }
}

/** Each gets its signal at once, or after its hook, and is waited for as long as its pod's grace period says. */
async function stopWave(
  wave: readonly PodContainer[],
  ctr: Ctr,
  options: EndPodsOptions,
): Promise<void> {
  const deadlines = new Map<string, number>();
  await Promise.all(
    wave.map(async (container) => {
      const { id, stopSignal } = container;
      const graceEndMs = performance.now() + Math.min(container.graceMs, maxGraceMs);
      const hadHook = await runHook(container, graceEndMs, { ctr, ...options });
      // It may have ended meanwhile.
      await ctr(['tasks', 'kill', '--signal', stopSignal, id]).catch(() => {});
      const lastMs = performance.now() + (hadHook ? leastAfterHookMs : 0);
      deadlines.set(id, Math.max(graceEndMs, lastMs));
    }),
  );
  for (;;) {
    const running = await ctr(['tasks', 'list']);
    const waited = [...deadlines].filter(
      ([id, deadline]) => isRunning(running, id) && performance.now() < deadline,
    );
    if (waited.length === 0) return;
    await sleep(pollMs);
  }
}

/** Without any grace there is no time for a hook. @returns whether there was one. */
async function runHook(
  container: PodContainer,
  graceEndMs: number,
  { ctr, paths, logger }: EndPodsOptions & { readonly ctr: Ctr },
): Promise<boolean> {
  const { preStop } = container;
  if (preStop === undefined || container.graceMs === 0) return false;
  // Most pods have none, and the supervisor keeps what it has once loaded.
  const { runPreStop } = await import('./pre-stop.ts');
  const hook = { ctr, fifoDir: `${paths.runDir}/hooks`, logger };
  await runPreStop({ ...container, preStop }, graceEndMs - performance.now(), hook);
  return true;
}

/** Rows are `TASK PID STATUS`. */
function isRunning(table: string, id: string): boolean {
  return table.split('\n').some((line) => line.startsWith(`${id} `) && line.includes('RUNNING'));
}
