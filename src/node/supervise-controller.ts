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
import { createKnownSites } from './known-sites.ts';
import { outputLevel } from './log-threshold.ts';
import { readSecrets, type SecretReader } from './plan-secrets.ts';
import type { NodePlan } from './plan-types.ts';
import type { Planned, PreparedNode } from './prepare.ts';
import { realiseAgain } from './realise.ts';
import { reconcilerComponents } from './reconcilers.ts';
import { createReloader } from './reload.ts';
import { registrationNotes } from './reload-notes.ts';
import { runSupervisor } from './run-supervisor.ts';
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
  const client = ownClient(node);
  const { sessions, routes, tunnel, metrics } = createTunnel(node, plan.tunnel, {
    ...{ client, clock, logger },
  });
  const { nodeSites, sites, removed } = createNodeKnowledge(plan, { client, logger, sessions });
  const secretOf = await readSecrets(plan, node.config);
  const stacks = createPackagedStacks(node, secretOf);
  const deployer = createDeployer({
    ...{ client, clock, logger, onEvent },
    packaged: stacks.current,
    manifestsDir: paths.manifestsDir,
  });
  const parts = {
    ...options,
    ...{ plan, secretOf, paths, client, deployer, tunnel, onEvent },
    outputLevel: () => outputLevel({ isDebug, isSettled }),
  };
  const takeStacks: typeof stacks.take = (planned, reader) => {
    stacks.take(planned, reader);
    deployer.trigger();
  };
  const loops = { ...parts, routes, sessions, sites, nodeSites, removed };
  const reloader = createReloader({
    ...{ ...parts, node, onTaken: takeStacks },
    supervisor: () => supervisor,
    rules: { notes: registrationNotes.taints },
    realise: ({ plan: next, config }, before) =>
      realiseAgain(next, before.plan, { ...parts, config, signal }),
    componentsFor: (planned, reader) => [
      ...controllerParts({ ...parts, plan: planned.plan, secretOf: reader }),
      ...reconcilerComponents({ ...loops, node: { ...node, ...planned } }),
    ],
  });
  const now = (): PreparedNode => ({ ...node, ...reloader.current() });
  const supervisor: Supervisor = createSupervisor({
    components: [
      ...controllerParts(parts),
      ...reconcilerComponents({ ...loops, node }),
      await controllerGateway({ ...loops, node: now }),
      statusServer({
        socketPath: paths.statusSocket,
        clock,
        readStatus: statusReader({
          ...parts,
          node: now,
          sites,
          components: () => supervisor.status(),
        }),
        renderMetrics: () => renderTunnelMetrics(tunnel.status(), metrics.read()),
        reload: reloader.reload,
      }),
    ],
    clock,
    random: Math.random,
    logger,
    onEvent,
  });
  try {
    await runSupervisor({ ...parts, supervisor, reloader }, signal);
  } finally {
    client.close();
  }
}

function ownClient({ config, paths }: PreparedNode): KubeClient {
  return createKubeClient({
    server: `https://127.0.0.1:${config.spec.api.port}`,
    caFile: pkiFiles(paths).ca.certFile,
    certFile: `${paths.pkiDir}/mini-k8s-client.crt`,
    keyFile: `${paths.pkiDir}/mini-k8s-client.key`,
  });
}

/** Where nodes are, and which were taken out of the cluster. */
function createNodeKnowledge(
  { nodeName }: NodePlan,
  {
    client,
    logger,
    sessions,
  }: {
    readonly client: KubeClient;
    readonly logger: Logger;
    readonly sessions: TunnelSessions;
  },
) {
  const nodeSites = createNodeSites({ client, logger, siteOf: (name) => sites.siteOf(name) });
  const sites = createKnownSites({
    localNode: { name: nodeName, site: mainSite },
    onChange: nodeSites.recheck,
  });
  const removed = createRemovedNodes({
    client,
    logger,
    onRemoved: (name) => sessions.closeNode(name, `node ${name} was removed`),
  });
  return { nodeSites, sites, removed };
}

/** The stacks of the plan that the node runs with; the deployer asks again when it is told of others. */
function createPackagedStacks(node: Planned, secretOf: SecretReader) {
  let stacks = fillStackSecrets(node.plan.stacks, secretOf);
  return {
    current: () => stacks,
    take: ({ plan }: Planned, reader: SecretReader) => {
      stacks = fillStackSecrets(plan.stacks, reader);
    },
  };
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
