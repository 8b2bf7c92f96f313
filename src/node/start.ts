import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { awaitNetwork } from './await-network.ts';
import { boundServiceLog } from './bound-service-log.ts';
import { rememberCluster, requireSameCluster } from './cluster-record.ts';
import type { ConfigSourceOptions } from './config-sources.ts';
import { endProcesses } from './end-processes.ts';
import type { NodeEvent } from './events.ts';
import { checkBundle, type GivenBundle } from './given-bundle.ts';
import { machineArch } from './host-facts.ts';
import { takeLock } from './lock.ts';
import { logNodeEvent } from './log-node-event.ts';
import { createServiceNotifier } from './notify-service.ts';
import { checkDataDirectory, checkMachine, requireNoMembership, requireRoot } from './preflight.ts';
import { prepareController } from './prepare.ts';
import { ensureDirectories, realiseComponents, realisePlan } from './realise.ts';
import { restorePodNetwork } from './reconcilers.ts';
import type { ReloadRequests } from './reload-requests.ts';
import { type StartTime, startTime } from './start-time.ts';
import { superviseController } from './supervise-controller.ts';

/** What every kind of node is started with. */
export interface StartOptions extends GivenBundle {
  readonly dataDir?: string;
  /** For the machine's HTTP proxy, and for what a service manager says to its service. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isDebug: boolean;
  /** Asks the running node to read its configuration again. */
  readonly reloads?: ReloadRequests;
  readonly version: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
}

export interface ControllerOptions extends StartOptions, ConfigSourceOptions {
  readonly runsWorkloads: boolean;
}

export interface SuperviseOptions extends StartOptions {
  readonly started: StartTime;
}

/**
 * Runs a controller until the signal aborts, at whatever point it is, then stops everything in order.
 * @throws UserError or UserErrors when it cannot be started; a component that fails later is only reported.
 */
export function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  return runGuarded(options, signal, startController);
}

/** Logs what is reported, and takes an error after the abort for what it is: the end of what was under way. */
export async function runGuarded<T extends StartOptions>(
  options: T,
  signal: AbortSignal,
  start: (options: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { logger } = options;
  const notifier = createServiceNotifier(options.env, logger);
  void boundServiceLog(options.env, logger, signal);
  const onEvent = (event: NodeEvent) => {
    logNodeEvent(logger, event);
    notifier.onEvent(event);
    options.onEvent(event);
  };
  const tellStop = () => onEvent({ type: 'stopping', reason: String(signal.reason) });
  signal.addEventListener('abort', tellStop, { once: true });
  try {
    await start({ ...options, onEvent }, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    logger.debug('stopped before everything had started', { reason: errorMessage(error) });
  } finally {
    signal.removeEventListener('abort', tellStop);
    await notifier.close();
  }
}

async function startController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const started = startTime(options.clock);
  requireRoot('start the controller');
  const bundle = await checkBundle(options, signal, { arch: machineArch() });
  await awaitNetwork(pathsFor(options), options, signal);
  const node = await prepareController(options);
  await checkDataDirectory(node.paths);
  await checkMachine(node, 'before', signal);
  await runUnderLock(node.paths, { ...options, command: 'controller' }, signal, async () => {
    await requireNoMembership(node.paths);
    await requireSameCluster(node);
    await checkMachine(node, 'locked', signal);
    await realisePlan(node.plan, { ...options, ...node, bundle, signal });
    await rememberCluster(node);
    await restorePodNetwork(node.plan);
    await superviseController(node, { ...options, started }, signal);
  });
}

/**
 * Brings what a controller needs from elsewhere, so that its service starts without any of the options that say
 * where that comes from. @throws UserError or UserErrors for whatever would keep it from starting.
 */
export async function provideController(
  options: ControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  const bundle = await checkBundle(options, signal, { arch: machineArch() });
  const node = await prepareController(options);
  await checkDataDirectory(node.paths);
  await checkMachine(node, 'before', signal);
  await runUnderLock(node.paths, { ...options, command: 'install' }, signal, async () => {
    await checkMachine(node, 'locked', signal);
    await realiseComponents(node.plan, { ...options, ...node, bundle, signal });
  });
}

/** Takes the machine for this process, ends what a killed one left, does the work, and gives the machine back. */
export async function runUnderLock(
  paths: Paths,
  options: Pick<StartOptions, 'logger' | 'onEvent'> & { readonly command: string },
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  await ensureDirectories([{ path: paths.runDir, mode: 0o711, uid: 0, gid: 0 }]);
  signal.throwIfAborted();
  const lock = await takeLock(paths, options.command);
  try {
    await endProcesses(paths, {
      stopTimeoutMs: 10_000,
      logger: options.logger,
      onEvent: options.onEvent,
    });
    await work();
  } finally {
    await lock.release();
  }
}
