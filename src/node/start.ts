import type { Logger } from '../base/logger.ts';
import { type Clock, sleep, untilAborted } from '../base/time.ts';
import { pkiFiles } from '../components/layout.ts';
import { createKubeClient } from '../kube-client/client.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { createDeployer } from '../stacks/deployer.ts';
import { endOrphans } from '../supervisor/orphans.ts';
import { createSupervisor, type Supervisor } from '../supervisor/supervisor.ts';
import { createLocalRoutingTable } from '../tunnel/route-local.ts';
import { createTunnelServer } from '../tunnel/tunnel-server.ts';
import { isClusterReady, readClusterReadiness } from './cluster-readiness.ts';
import { controllerParts, instanceOf, pidDir } from './components.ts';
import type { NodeEvent } from './events.ts';
import { takeLock } from './lock.ts';
import { checkDataDirectory, checkFreePorts, requireRoot } from './preflight.ts';
import { type PreparedNode, prepareController } from './prepare.ts';
import { ensureDirectories, realisePlan } from './realise.ts';
import { reconcilerComponents, restorePodNetwork } from './reconcilers.ts';
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

/** Between two looks at what is not Ready yet, milliseconds. */
const readinessPollMs = 500;

/**
 * Runs a controller until the signal aborts, then stops everything in order.
 * @throws UserError or UserErrors when it cannot be started; a component that fails later is only reported.
 */
export async function runController(options: StartOptions, signal: AbortSignal): Promise<void> {
  const startedAt = options.clock.now();
  requireRoot('start the controller');
  const node = await prepareController(options);
  await checkDataDirectory(node.paths);
  await ensureDirectories(
    node.plan.directories.filter((entry) => entry.path === node.paths.runDir),
  );
  const lock = await takeLock(node.paths, 'controller');
  try {
    await endOrphans({
      pidDir: pidDir(node.paths),
      instance: instanceOf(node.paths),
      executables: node.plan.processes.map((process) => process.executable),
      stopTimeoutMs: 10_000,
      logger: options.logger,
      onEvent: options.onEvent,
    });
    await checkFreePorts(node.config, options.runsWorkloads);
    await realisePlan(node.plan, { ...options, paths: node.paths, signal });
    await restorePodNetwork(node.plan);
    await superviseUntilAborted(node, { ...options, startedAt }, signal);
  } finally {
    await lock.release();
  }
}

interface SuperviseOptions extends StartOptions {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

async function superviseUntilAborted(
  node: PreparedNode,
  options: SuperviseOptions,
  signal: AbortSignal,
): Promise<void> {
  const { plan, paths } = node;
  const { clock, logger, onEvent } = options;
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
  const parts = { ...options, plan, paths, client, deployer, tunnel };
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
    await supervisor.start(signal);
    onEvent({
      type: 'components-ready',
      nodeName: plan.nodeName,
      elapsedMs: clock.now() - options.startedAt,
    });
    await reportClusterReady(node, { ...options, client }, signal);
    await untilAborted(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    onEvent({ type: 'stopping', reason: String(signal.reason ?? 'error') });
    await supervisor.stop();
    client.close();
  }
}

/** Tells the reporter when the node and every addon are Ready; asks until then, and no longer. */
async function reportClusterReady(
  node: PreparedNode,
  options: SuperviseOptions & { readonly client: KubeClient },
  signal: AbortSignal,
): Promise<void> {
  const query = {
    nodeName: node.plan.runsWorkloads ? node.plan.nodeName : undefined,
    stacks: node.plan.runsWorkloads ? node.plan.stacks : [],
  };
  const seen = new Set<string>();
  for (;;) {
    const readiness = await readClusterReadiness(options.client, query, signal);
    const all = [...(readiness.node === undefined ? [] : [readiness.node]), ...readiness.addons];
    for (const entry of all) {
      if (!entry.isReady || seen.has(entry.name)) continue;
      seen.add(entry.name);
      const elapsedMs = options.clock.now() - options.startedAt;
      options.onEvent({ type: 'ready', name: entry.name, elapsedMs });
    }
    if (isClusterReady(readiness)) break;
    await sleep(readinessPollMs, signal);
  }
  options.onEvent({ type: 'cluster-ready', elapsedMs: options.clock.now() - options.startedAt });
}
