import { createApiEndpoint } from '../api-endpoint/api-endpoint.ts';
import { followApiServers } from '../api-endpoint/follow-endpoints.ts';
import { apiEndpointFamilies } from '../api-endpoint/metrics.ts';
import type { ApiEndpoint } from '../api-endpoint/types.ts';
import type { UserError } from '../base/errors.ts';
import { renderExposition } from '../base/exposition.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { membershipComponent, pkiFiles } from '../components/layout.ts';
import type { Paths } from '../config/paths.ts';
import type { JoinDocument } from '../join/types.ts';
import { createKubeClient } from '../kube-client/client.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { createSupervisor, type Supervisor } from '../supervisor/supervisor.ts';
import type { Component } from '../supervisor/types.ts';
import type { TunnelAgent } from '../tunnel/agent.ts';
import { imagesComponent, type NodeParts, processComponents } from './components.ts';
import type { NodeEvent } from './events.ts';
import { outputLevel } from './log-threshold.ts';
import { loopComponent } from './loop-component.ts';
import { hasKubeletCertificate, removalError, writeRemoval } from './membership.ts';
import { membershipWatch, writeMemberFiles } from './membership-watch.ts';
import { readSecrets } from './plan-secrets.ts';
import type { WorkerPlan } from './plan-types.ts';
import type { Planned, PreparedNode } from './prepare.ts';
import { realiseAgain } from './realise.ts';
import { keepDocument } from './refresh-document.ts';
import { createReloader, type ReloaderOptions } from './reload.ts';
import { registrationNotes } from './reload-notes.ts';
import { runSupervisor } from './run-supervisor.ts';
import type { SuperviseOptions } from './start.ts';
import { statusReader } from './status.ts';
import { statusServer } from './status-server.ts';
import { listenForKnownPods, workerTunnel } from './worker-tunnel.ts';

export interface WorkerSuperviseOptions extends SuperviseOptions {
  readonly document: JoinDocument;
  readonly proxy: ProxySettings | undefined;
}

/** Everything of a worker that its parts share. */
export interface WorkerParts extends WorkerSuperviseOptions {
  readonly node: PreparedNode;
  readonly worker: WorkerPlan;
  readonly client: KubeClient;
  readonly apiEndpoint: ApiEndpoint;
}

/**
 * Runs everything of a worker until the signal aborts, then stops it in order. Nothing here needs a controller to start.
 * @throws UserError when the controllers say that the node was taken out of the cluster, after everything has stopped.
 */
export async function superviseWorker(
  node: PreparedNode,
  options: WorkerSuperviseOptions,
  signal: AbortSignal,
): Promise<void> {
  const { plan, paths } = node;
  if (plan.worker === undefined) throw new Error('a worker has a balancer and an agent');
  const removal = new AbortController();
  const end = AbortSignal.any([signal, removal.signal]);
  let isSettled = false;
  const onEvent = (event: NodeEvent) => {
    isSettled ||= event.type === 'cluster-ready' || event.type === 'not-ready';
    options.onEvent(event);
  };
  const client = localClient(node, plan.worker);
  const apiEndpoint = balancer(node, plan.worker, options);
  const parts = { ...options, onEvent, node, worker: plan.worker, client, apiEndpoint };
  await listenForKnownPods(node, apiEndpoint);
  const agent = workerTunnel(parts);
  const secretOf = await readSecrets(plan, node.config);
  const engines = {
    ...parts,
    ...{ plan, secretOf, paths },
    outputLevel: () => outputLevel({ isDebug: options.isDebug, isSettled }),
  };
  const reloader = createReloader({
    ...reloading(engines, end),
    supervisor: () => supervisor,
  });
  const now = (): PreparedNode => ({ ...node, ...reloader.current() });
  const supervisor: Supervisor = createSupervisor({
    components: [
      apiEndpoint,
      ...processComponents(engines),
      imagesComponent(engines, ['containerd']),
      membershipWatch({ ...parts, secretOf, paths }),
      ...agent.components,
      apiServersLoop(parts),
      keepDocument({
        ...parts,
        agent: agent.agent,
        onRemoved: ({ why, fix }) => removal.abort(removalError({ why, fix })),
      }),
      statusServer({
        socketPath: paths.statusSocket,
        clock: options.clock,
        readStatus: statusReader({
          ...parts,
          node: now,
          agent: agent.agent,
          components: () => supervisor.status(),
        }),
        renderMetrics: () => renderMetrics(agent.agent, apiEndpoint),
        reload: reloader.reload,
      }),
    ],
    clock: options.clock,
    random: Math.random,
    logger: options.logger,
    onEvent,
  });
  try {
    await runSupervisor({ ...engines, supervisor, reloader }, end);
  } finally {
    client.close();
    if (removal.signal.aborted) await writeRemoval(paths, removal.signal.reason as UserError);
  }
  removal.signal.throwIfAborted();
}

/** How a running worker takes another configuration over. */
function reloading(
  engines: WorkerParts & NodeParts,
  signal: AbortSignal,
): Omit<ReloaderOptions, 'supervisor'> {
  return {
    ...engines,
    realise: async (next, before) => {
      await realiseAgain(next.plan, before.plan, { ...engines, config: next.config, signal });
      await realiseMemberFiles(next, engines.paths);
    },
    componentsFor: (planned, secretOf) => {
      const changed = { ...engines, plan: planned.plan, secretOf };
      return [...processComponents(changed), imagesComponent(changed, ['containerd'])];
    },
    // The tunnel and the balancer have been told of a proxy.
    rules: {
      atStartOnly: ['spec.proxy'],
      notes: { ...registrationNotes.labels, ...registrationNotes.taints },
    },
  };
}

/** What names the kubelet's certificate is away while there is none. */
async function realiseMemberFiles({ plan, config }: Planned, paths: Paths): Promise<void> {
  if (plan.worker === undefined || !(await hasKubeletCertificate(paths))) return;
  await writeMemberFiles(plan.worker, await readSecrets(plan, config));
}

function renderMetrics(agent: TunnelAgent, apiEndpoint: ApiEndpoint): string {
  return renderExposition([...agent.metrics(), ...apiEndpointFamilies(apiEndpoint.status())]);
}

/** Its own API, through the balancer, as the node that it is. */
function localClient({ paths }: PreparedNode, worker: WorkerPlan): KubeClient {
  return createKubeClient({
    server: `https://127.0.0.1:${worker.apiEndpoint.port}`,
    caFile: pkiFiles(paths).ca.certFile,
    certFile: kubeletClientCertificate(paths),
    keyFile: kubeletClientCertificate(paths),
  });
}

function balancer(
  { plan, paths }: PreparedNode,
  worker: WorkerPlan,
  { document, proxy, clock, logger }: WorkerSuperviseOptions,
): ApiEndpoint {
  return createApiEndpoint({
    listenAddress: '127.0.0.1',
    ...worker.apiEndpoint,
    learnedFile: `${paths.stateDir}/api-servers.json`,
    ca: document.ca,
    seed: plan.nodeName,
    proxy,
    clock,
    logger,
  });
}

function apiServersLoop({ client, apiEndpoint, logger, clock }: WorkerParts): Component {
  return loopComponent({
    name: 'api-servers',
    dependsOn: [membershipComponent],
    clock,
    run: (signal) =>
      followApiServers(
        { client, logger, publish: (servers) => apiEndpoint.update(servers) },
        signal,
      ),
  });
}
