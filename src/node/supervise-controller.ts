import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { pkiFiles } from '../components/layout.ts';
import { createRemovedNodes } from '../join/removed-nodes.ts';
import { mainSite } from '../join/site.ts';
import { createKubeClient } from '../kube-client/client.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { createPodNodeFinder } from '../reconcilers/find-pod-nodes.ts';
import { createNodeSites } from '../reconcilers/node-sites.ts';
import { createDeployer } from '../stacks/deployer.ts';
import { createSupervisor, type Supervisor } from '../supervisor/supervisor.ts';
import { createTunnelMetrics, renderTunnelMetrics, type TunnelMetrics } from '../tunnel/metrics.ts';
import { type ClusterRoutes, createClusterRoutes } from '../tunnel/route-cluster.ts';
import { createTunnelSessions, type TunnelSessions } from '../tunnel/sessions.ts';
import { createTunnelServer, type TunnelServer } from '../tunnel/tunnel-server.ts';
import { createWindowBudget, windowBudgetBytes } from '../tunnel/window-budget.ts';
import { controllerParts } from './components.ts';
import { controllerGateway } from './controller-gateway.ts';
import type { NodeEvent } from './events.ts';
import { collectTwice, keepMemorySmall } from './keep-memory-small.ts';
import { createKnownSites } from './known-sites.ts';
import { outputLevel } from './log-threshold.ts';
import { readSecrets } from './plan-secrets.ts';
import type { NodePlan } from './plan-types.ts';
import type { PreparedNode } from './prepare.ts';
import { reconcilerComponents } from './reconcilers.ts';
import { reportClusterReady } from './report-readiness.ts';
import { fillStackSecrets } from './stack-secrets.ts';
import type { SuperviseOptions } from './start.ts';
import { statusReader } from './status.ts';
import { statusServer } from './status-server.ts';

/** Runs everything of a controller until the signal aborts, then stops it in order. */
export async function superviseController(
  node: PreparedNode,
  options: SuperviseOptions,
  signal: AbortSignal,
): Promise<void> {
  const { plan, paths } = node;
  const { clock, logger, isDebug } = options;
  if (plan.tunnel === undefined) throw new Error('a controller has a tunnel');
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
  const { sessions, routes, tunnel, metrics } = createTunnel(node, plan.tunnel, {
    client,
    clock,
    logger,
  });
  const nodeSites = createNodeSites({ client, logger, siteOf: (name) => sites.siteOf(name) });
  const sites = createKnownSites({
    localNode: { name: plan.nodeName, site: mainSite },
    onChange: nodeSites.recheck,
  });
  const removed = createRemovedNodes({
    client,
    logger,
    onRemoved: (name) => sessions.closeNode(name, `node ${name} was removed`),
  });
  const secretOf = await readSecrets(plan, node.config);
  const deployer = createDeployer({
    client,
    packaged: fillStackSecrets(plan.stacks, secretOf),
    manifestsDir: paths.manifestsDir,
    clock,
    logger,
    onEvent,
  });
  const parts = {
    ...options,
    ...{ plan, secretOf, paths, client, deployer, tunnel, onEvent },
    outputLevel: () => outputLevel({ isDebug, isSettled }),
  };
  const supervisor: Supervisor = createSupervisor({
    components: [
      ...controllerParts(parts),
      ...reconcilerComponents({ ...parts, node, routes, sessions, sites, nodeSites, removed }),
      await controllerGateway({ ...parts, node, sessions, sites, removed }),
      statusServer({
        socketPath: paths.statusSocket,
        clock,
        readStatus: statusReader({ ...parts, node, sites, components: () => supervisor.status() }),
        renderMetrics: () => renderTunnelMetrics(tunnel.status(), metrics.read()),
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
    await keepMemorySmall({ collect: collectTwice }, signal);
  } finally {
    await supervisor.stop();
    client.close();
  }
}

interface TunnelParts {
  readonly sessions: TunnelSessions;
  readonly routes: ClusterRoutes;
  readonly tunnel: TunnelServer;
  readonly metrics: TunnelMetrics;
}

/** kube-apiserver's way to every node: this one directly, the others through their agents' sessions. */
function createTunnel(
  { plan, host, config }: PreparedNode,
  { socketPath, kubeletPort }: NonNullable<NodePlan['tunnel']>,
  shared: { readonly client: KubeClient; readonly clock: Clock; readonly logger: Logger },
): TunnelParts {
  const { podCIDR, serviceCIDR } = config.spec.network;
  const metrics = createTunnelMetrics(() => performance.now());
  const budget = createWindowBudget(windowBudgetBytes(host.memoryBytes));
  const sessions = createTunnelSessions({ ...shared, metrics, budget });
  const routes = createClusterRoutes({
    localNode: plan.runsWorkloads ? { name: plan.nodeName, kubeletPort } : undefined,
    podCIDR,
    serviceCIDR,
    findPodNodes: createPodNodeFinder(shared.client),
  });
  const tunnel = createTunnelServer({ ...shared, socketPath, routes, sessions, metrics });
  return { sessions, routes, tunnel, metrics };
}
