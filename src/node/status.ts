import { readFile } from 'node:fs/promises';
import type { ApiEndpoint } from '../api-endpoint/types.ts';
import { componentVersion } from '../artifacts/catalog.ts';
import { readStoreIndex } from '../artifacts/store.ts';
import type { Clock } from '../base/time.ts';
import { kubeProxyMode } from '../components/kube-proxy.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { certificateStatuses } from '../pki/certificate-statuses.ts';
import type { Deployer } from '../stacks/deployer.ts';
import type { ComponentStatus } from '../supervisor/types.ts';
import type { TunnelAgent } from '../tunnel/agent.ts';
import type { TunnelServer } from '../tunnel/tunnel-server.ts';
import { readClusterReadiness } from './cluster-readiness.ts';
import { meminfoBytes } from './host-facts.ts';
import type { KnownSites } from './known-sites.ts';
import type { PreparedNode } from './prepare.ts';
import { earliestStart, type StartTime } from './start-time.ts';
import type { ControllerTunnelStatus, NodeStatus } from './status-types.ts';

export interface StatusSources {
  /** As it runs now: its configuration may change. */
  readonly node: () => PreparedNode;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly version: string;
  readonly started: StartTime;
  /** On controllers. */
  readonly deployer?: Deployer;
  readonly tunnel?: TunnelServer;
  readonly sites?: KnownSites;
  /** On workers. */
  readonly agent?: TunnelAgent;
  readonly apiEndpoint?: ApiEndpoint;
  readonly components: () => readonly ComponentStatus[];
}

/** How long the API may take before status goes without it, milliseconds. */
const apiTimeoutMs = 3_000;

/** Reads the whole status at each call; nothing is kept in between. */
export function statusReader(sources: StatusSources): () => Promise<NodeStatus> {
  return async () => {
    const node = sources.node();
    const { plan, paths } = node;
    const runsKubeProxy = plan.processes.some(({ name }) => name === 'kube-proxy');
    const [readiness, certificates, builtFrom, anonymousBytes] = await Promise.all([
      readClusterReadiness(
        sources.client,
        {
          nodeName: plan.runsWorkloads ? plan.nodeName : undefined,
          stacks: plan.stacks,
          since: earliestStart(sources.started, sources.clock.now(), performance.now()),
        },
        AbortSignal.timeout(apiTimeoutMs),
      ),
      certificateStatuses(plan.pki, sources.clock),
      readBuiltFrom(paths.storeDir),
      readOwnAnonymousBytes(),
    ]);
    return {
      version: sources.version,
      kubernetesVersion: componentVersion('kubernetes'),
      node: {
        name: plan.nodeName,
        role: plan.role,
        address: plan.nodeAddress,
        isReady: readiness.node?.isReady ?? true,
        message: readiness.node?.message ?? 'runs no workloads',
      },
      supervisor: {
        pid: process.pid,
        startedAt: new Date(sources.started.wallMs).toISOString(),
        anonymousBytes,
        dataDir: paths.dataDir,
        builtFrom,
        ...(runsKubeProxy ? { kubeProxyMode: kubeProxyMode(node) } : {}),
      },
      components: sources.components(),
      addons: readiness.addons,
      stacks: sources.deployer?.status() ?? [],
      certificates,
      ...(sources.tunnel === undefined
        ? {}
        : { tunnel: describeTunnel(sources.tunnel, sources.sites) }),
      ...(sources.agent === undefined ? {} : { agent: sources.agent.status() }),
      ...(sources.apiEndpoint === undefined ? {} : { apiEndpoint: sources.apiEndpoint.status() }),
    };
  };
}

function describeTunnel(
  tunnel: TunnelServer,
  sites: KnownSites | undefined,
): ControllerTunnelStatus {
  const status = tunnel.status();
  return {
    ...status,
    nodes: status.nodes.map((node) => {
      const site = sites?.siteOf(node.nodeName)?.name;
      return site === undefined ? node : { ...node, site };
    }),
  };
}

async function readOwnAnonymousBytes(): Promise<number> {
  return meminfoBytes(await readFile('/proc/self/smaps_rollup', 'utf8'), 'Anonymous');
}

/** `source` when any component in the store was built by the user (design §6). */
async function readBuiltFrom(storeDir: string): Promise<string> {
  const index = await readStoreIndex({ directory: storeDir });
  const isFromSource = index.manifests.some(
    (entry) => entry.annotations?.['mini-k8s.io/built-from'] === 'source',
  );
  return isFromSource ? 'source' : 'upstream';
}
