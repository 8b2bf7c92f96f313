import type { ApiEndpoint } from '../api-endpoint/types.ts';
import { readTextIfExists } from '../base/files.ts';
import { nthAddress, parseCidr } from '../base/ip.ts';
import { kubeletClientCertificate } from '../components/kubelet.ts';
import { membershipComponent, pkiFiles } from '../components/layout.ts';
import { type AgentTargets, createAgentAllowListSource } from '../reconcilers/agent-allow-list.ts';
import { parsePodCIDR } from '../reconcilers/cni-config.ts';
import { type NodeObserver, runLocalNode } from '../reconcilers/local-node.ts';
import { nodePodCIDRs } from '../reconcilers/resources.ts';
import type { Component } from '../supervisor/types.ts';
import { createTunnelAgent, type TunnelAgent } from '../tunnel/agent.ts';
import { createTunnelConnector } from '../tunnel/connect-tunnel.ts';
import { createWindowBudget, windowBudgetBytes } from '../tunnel/window-budget.ts';
import { loopComponent } from './loop-component.ts';
import type { PreparedNode } from './prepare.ts';
import { cniObservers } from './reconcilers.ts';
import type { WorkerParts } from './supervise-worker.ts';

/** The tunnel's agent, and the loops that tell it what it may reach. */
export function workerTunnel(parts: WorkerParts): { agent: TunnelAgent; components: Component[] } {
  const { node, worker, client, clock, logger, proxy } = parts;
  const { nodeName } = node.plan;
  let targets: AgentTargets | undefined;
  const source = createAgentAllowListSource({
    client,
    nodeName,
    kubeletPort: worker.kubeletPort,
    hasOwnAddresses: node.config.spec.network.provider !== 'kube-router',
    logger,
    publish: (next) => {
      targets = next;
    },
  });
  const connector = createTunnelConnector({
    certFile: kubeletClientCertificate(node.paths),
    keyFile: kubeletClientCertificate(node.paths),
    caFile: pkiFiles(node.paths).ca.certFile,
    proxy,
  });
  const agent = createTunnelAgent({
    controllers: worker.gateways,
    ...connector,
    allowList: () => targets ?? nothingAllowed(nodeName, worker.kubeletPort),
    logger,
    clock,
    random: Math.random,
    budget: createWindowBudget(windowBudgetBytes(node.host.memoryBytes)),
  });
  const dependsOn = [membershipComponent];
  return {
    agent,
    components: [
      { ...agent, dependsOn },
      loopComponent({
        name: 'allowed-targets',
        dependsOn,
        clock,
        run: (signal) => source.run(signal),
      }),
      loopComponent({
        name: 'local-node',
        dependsOn,
        clock,
        run: (signal) =>
          runLocalNode(
            {
              client,
              nodeName,
              logger,
              observers: [source.observer, ...cniObservers(parts), ...apiForPods(parts)],
            },
            signal,
          ),
      }),
    ],
  };
}

function nothingAllowed(nodeName: string, kubeletPort: number): AgentTargets {
  return {
    nodeName,
    kubeletPort,
    podCIDRs: [],
    nodeAddresses: [],
    hostPorts: new Set(),
    podAddresses: new Set(),
  };
}

/** Pods find the balancer on their bridge, where the redirect of this node leads them. */
function apiForPods({ apiEndpoint, node }: WorkerParts): NodeObserver[] {
  if (node.plan.cniConfigFile === undefined) return [];
  return [
    {
      name: 'API for pods',
      reconcile: async (object) => {
        const [podCIDR] = nodePodCIDRs(object);
        listenOnBridge(apiEndpoint, podCIDR);
      },
    },
  ];
}

/** Also before the API has said so again: the network of the last start is on the disk. */
export async function listenForKnownPods(
  { plan }: PreparedNode,
  apiEndpoint: ApiEndpoint,
): Promise<void> {
  if (plan.cniConfigFile === undefined) return;
  listenOnBridge(apiEndpoint, parsePodCIDR(await readTextIfExists(plan.cniConfigFile)));
}

function listenOnBridge(apiEndpoint: ApiEndpoint, podCIDR: string | undefined): void {
  const cidr = podCIDR === undefined ? undefined : parseCidr(podCIDR);
  if (cidr !== undefined) apiEndpoint.addListenAddress(nthAddress(cidr, 1));
}
