import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { createJoinRecords } from '../join/join-records.ts';
import type { RemovedNodes } from '../join/removed-nodes.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { runClusterRoutes } from '../reconcilers/cluster-routes.ts';
import { type CniHost, createCniConfig, restorePodBridge } from '../reconcilers/cni-config.ts';
import { runCsrApprover } from '../reconcilers/csr-approver.ts';
import { type NodeObserver, runLocalNode } from '../reconcilers/local-node.ts';
import { controlPlaneLabels, createNodeLabels } from '../reconcilers/node-labels.ts';
import type { NodeSites } from '../reconcilers/node-sites.ts';
import type { Component } from '../supervisor/types.ts';
import type { ClusterRoutes } from '../tunnel/route-cluster.ts';
import type { TunnelSessions } from '../tunnel/sessions.ts';
import type { KnownSites } from './known-sites.ts';
import { loopComponent } from './loop-component.ts';
import type { NodePlan } from './plan-types.ts';
import type { PreparedNode } from './prepare.ts';

const run = promisify(execFile);

export interface ReconcilerParts {
  readonly node: PreparedNode;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly routes: ClusterRoutes;
  readonly sessions: TunnelSessions;
  readonly sites: KnownSites;
  readonly nodeSites: NodeSites;
  readonly removed: RemovedNodes;
}

/** The loops over the API that a controller runs in this process. */
export function reconcilerComponents(parts: ReconcilerParts): Component[] {
  const { node, client, clock, logger } = parts;
  const { plan } = node;
  const dependsOn = ['kube-apiserver'];
  const loop = (name: string, run: (signal: AbortSignal) => Promise<void>) =>
    loopComponent({ name, dependsOn, clock, run });
  const observers = [
    createNodeLabels({
      client,
      labels: { ...controlPlaneLabels, ...node.config.spec.node.labels },
    }),
    ...cniObservers(parts),
  ];
  return [
    loop('csr-approver', (signal) => runCsrApprover(approverOptions(parts), signal)),
    loop('cluster-routes', (signal) => followCluster(parts, signal)),
    loop('removed-nodes', (signal) => parts.removed.run(signal)),
    loop('node-sites', (signal) => parts.nodeSites.run(signal)),
    ...(plan.runsWorkloads
      ? [
          loop('local-node', (signal) =>
            runLocalNode({ client, nodeName: plan.nodeName, logger, observers }, signal),
          ),
        ]
      : []),
  ];
}

/** Routes, sites and sessions follow the same watch of Nodes. */
async function followCluster(parts: ReconcilerParts, signal: AbortSignal): Promise<void> {
  const { client, clock, logger, routes, sessions, sites, nodeSites } = parts;
  await sites.load(createJoinRecords(client), signal);
  const onNodeDeleted = (name: string) => sessions.closeNode(name, `node ${name} was removed`);
  const watchers = [nodeSites.watcher, { onNodeDeleted }];
  await runClusterRoutes({ client, clock, logger, routes, watchers }, signal);
}

/** After a reboot the CNI configuration is there and its bridge is not: it must be before kubelet makes pods. */
export async function restorePodNetwork(plan: NodePlan): Promise<void> {
  if (plan.cniConfigFile === undefined) return;
  await restorePodBridge({ configFile: plan.cniConfigFile, host: cniHost(plan.nodeAddress) });
}

function approverOptions(parts: ReconcilerParts) {
  const { node, client, clock, logger } = parts;
  const { plan, config, host } = node;
  const records = createJoinRecords(client);
  const own = [plan.nodeAddress, ...host.addresses.map((entry) => entry.address)];
  return {
    client,
    clock,
    logger,
    ...(plan.runsWorkloads ? { localNodeName: plan.nodeName } : {}),
    controllerNames: () => [plan.nodeName],
    joinRecord: async (name: string) => {
      const record = await records.get(name);
      if (record === undefined) return undefined;
      const { tokenId, joinedAt, removedAt } = record;
      return { tokenId, joinedAtMs: Date.parse(joinedAt), isRemoved: removedAt !== undefined };
    },
    allowedAddresses: async (name: string) =>
      name === plan.nodeName ? own : (await records.get(name))?.addresses,
    controllerAddresses: () => own,
    podCIDR: config.spec.network.podCIDR,
    serviceCIDR: config.spec.network.serviceCIDR,
  };
}

export function cniObservers(parts: Pick<ReconcilerParts, 'node' | 'logger'>): NodeObserver[] {
  const { plan } = parts.node;
  if (plan.cniConfigFile === undefined) return [];
  return [
    createCniConfig({
      configFile: plan.cniConfigFile,
      host: cniHost(plan.nodeAddress),
      logger: parts.logger,
    }),
  ];
}

/** The real machine, as the CNI reconciler needs it. */
function cniHost(nodeAddress: string): CniHost {
  return {
    readFile: readTextIfExists,
    writeFile: (file, content) => writeFileAtomic(file, content, { mode: 0o644 }),
    run: async (command, args) => (await run(command, [...args], { timeout: 10_000 })).stdout,
    mtu: () => readMtu(nodeAddress),
  };
}

/** Ethernet's, where the interface cannot be found. */
const defaultMtu = 1500;

async function readMtu(nodeAddress: string): Promise<number> {
  const [name] =
    Object.entries(os.networkInterfaces()).find(([, entries]) =>
      entries?.some((entry) => entry.address === nodeAddress),
    ) ?? [];
  if (name === undefined) return defaultMtu;
  return Number((await readTextIfExists(`/sys/class/net/${name}/mtu`)) ?? defaultMtu);
}
