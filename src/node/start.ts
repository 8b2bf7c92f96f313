import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { type Clock, untilAborted } from '../base/time.ts';
import { pkiFiles } from '../components/layout.ts';
import { createKubeClient } from '../kube-client/client.ts';
import { createDeployer } from '../stacks/deployer.ts';
import { createSupervisor, type Supervisor } from '../supervisor/supervisor.ts';
import { createLocalRoutingTable } from '../tunnel/route-local.ts';
import { createTunnelServer } from '../tunnel/tunnel-server.ts';
import { controllerParts } from './components.ts';
import { endProcesses } from './end-processes.ts';
import type { NodeEvent } from './events.ts';
import { takeLock } from './lock.ts';
import { logNodeEvent } from './log-node-event.ts';
import { outputLevel } from './log-threshold.ts';
import { checkDataDirectory, checkFreePorts, checkServiceTools, requireRoot } from './preflight.ts';
import { type PreparedNode, prepareController } from './prepare.ts';
import { ensureDirectories, realisePlan } from './realise.ts';
import { reconcilerComponents, restorePodNetwork } from './reconcilers.ts';
import { reportClusterReady } from './report-readiness.ts';
import { type StartTime, startTime } from './start-time.ts';
import { statusReader } from './status.ts';
import { statusServer } from './status-server.ts';

export interface StartOptions {
  readonly configFile?: string;
  readonly dataDir?: string;
  readonly runsWorkloads: boolean;
  readonly bundle?: string;
  readonly trustBundle?: string;
  readonly isDebug: boolean;
  readonly version: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
}

/**
 * Runs a controller until the signal aborts, at whatever point it is, then stops everything in order.
 * @throws UserError or UserErrors when it cannot be started; a component that fails later is only reported.
 */
export async function runController(options: StartOptions, signal: AbortSignal): Promise<void> {
  const { logger } = options;
  const onEvent = (event: NodeEvent) => {
    logNodeEvent(logger, event);
    options.onEvent(event);
  };
  const tellStop = () => onEvent({ type: 'stopping', reason: String(signal.reason) });
  signal.addEventListener('abort', tellStop, { once: true });
  try {
    await startAndSupervise({ ...options, onEvent }, signal);
  } catch (error) {
    // Whatever was under way when it was asked to stop ends with an error, and that is no failure.
    if (!signal.aborted) throw error;
    logger.debug('stopped before everything had started', { reason: errorMessage(error) });
  } finally {
    signal.removeEventListener('abort', tellStop);
  }
}

async function startAndSupervise(options: StartOptions, signal: AbortSignal): Promise<void> {
  const started = startTime(options.clock);
  requireRoot('start the controller');
  const node = await prepareController(options);
  checkServiceTools(node);
  await checkDataDirectory(node.paths);
  await ensureDirectories(
    node.plan.directories.filter((entry) => entry.path === node.paths.runDir),
  );
  signal.throwIfAborted();
  const lock = await takeLock(node.paths, 'controller');
  try {
    await endProcesses(node.paths, {
      stopTimeoutMs: 10_000,
      logger: options.logger,
      onEvent: options.onEvent,
    });
    await checkFreePorts(node.config, options.runsWorkloads);
    await realisePlan(node.plan, { ...options, paths: node.paths, signal });
    await restorePodNetwork(node.plan);
    await superviseUntilAborted(node, { ...options, started }, signal);
  } finally {
    await lock.release();
  }
}

interface SuperviseOptions extends StartOptions {
  readonly started: StartTime;
}

async function superviseUntilAborted(
  node: PreparedNode,
  options: SuperviseOptions,
  signal: AbortSignal,
): Promise<void> {
  const { plan, paths } = node;
  const { clock, logger, isDebug } = options;
  let isSettled = false;
  const onEvent = (event: NodeEvent) => {
    isSettled ||= event.type === 'cluster-ready' || event.type === 'not-ready';
    options.onEvent(event);
  };
  const client = createKubeClient({
    server: `https://127.0.0.1:${node.config.spec.api.port}`,
    caFile: pkiFiles(paths).ca.certFile,
    certFile: `${paths.pkiDir}/mini-k8s-client.crt`,
    keyFile: `${paths.pkiDir}/mini-k8s-client.key`,
  });
  const routes = createLocalRoutingTable({
    nodeName: plan.nodeName,
    kubeletPort: plan.tunnel.kubeletPort,
    nodeAddresses: [plan.nodeAddress],
    podCIDRs: [],
    hostEndpoints: new Set(),
  });
  const tunnel = createTunnelServer({ socketPath: plan.tunnel.socketPath, routes, logger, clock });
  const deployer = createDeployer({
    client,
    packaged: plan.stacks,
    manifestsDir: paths.manifestsDir,
    clock,
    logger,
    onEvent,
  });
  const parts = {
    ...options,
    ...{ plan, paths, client, deployer, tunnel, onEvent },
    outputLevel: () => outputLevel({ isDebug, isSettled }),
  };
  const supervisor: Supervisor = createSupervisor({
    components: [
      ...controllerParts(parts),
      ...reconcilerComponents({ ...parts, node, routes }),
      statusServer({
        socketPath: paths.statusSocket,
        clock,
        readStatus: statusReader({ ...parts, node, components: () => supervisor.status() }),
      }),
    ],
    clock,
    random: Math.random,
    logger,
    onEvent,
  });
  try {
    const components = () => supervisor.status();
    const componentsReady = supervisor.start(signal);
    await reportClusterReady({ ...parts, components, componentsReady }, signal);
    await untilAborted(signal);
  } finally {
    await supervisor.stop();
    client.close();
  }
}
