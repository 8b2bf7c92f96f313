import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { type CniHost, createCniConfig, restorePodBridge } from '../reconcilers/cni-config.ts';
import { runCsrApprover } from '../reconcilers/csr-approver.ts';
import { createLocalEndpoints } from '../reconcilers/local-endpoints.ts';
import { type NodeObserver, runLocalNode } from '../reconcilers/local-node.ts';
import { controlPlaneLabels, createNodeLabels } from '../reconcilers/node-labels.ts';
import type { Component } from '../supervisor/types.ts';
import type { LocalRoutingTable } from '../tunnel/route-local.ts';
import { loopComponent } from './loop-component.ts';
import type { NodePlan } from './plan-types.ts';
import type { PreparedNode } from './prepare.ts';

const run = promisify(execFile);

export interface ReconcilerParts {
  readonly node: PreparedNode;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly routes: LocalRoutingTable;
}

/** The loops over the API that a controller runs in this process. */
export function reconcilerComponents(parts: ReconcilerParts): Component[] {
  const { node, client, clock, logger, routes } = parts;
  const { plan } = node;
  const dependsOn = ['kube-apiserver'];
  const approver = loopComponent({
    name: 'csr-approver',
    dependsOn,
    clock,
    run: (signal) => runCsrApprover(approverOptions(parts), signal),
  });
  if (!plan.runsWorkloads) return [approver];
  const endpoints = createLocalEndpoints({
    client,
    nodeName: plan.nodeName,
    kubeletPort: plan.tunnel.kubeletPort,
    logger,
    publish: (published) => routes.update(published),
  });
  const observers = [
    endpoints.observer,
    createNodeLabels({
      client,
      labels: { ...controlPlaneLabels, ...node.config.spec.node.labels },
    }),
    ...cniObservers(parts),
  ];
  return [
    approver,
    loopComponent({
      name: 'local-endpoints',
      dependsOn,
      clock,
      run: (signal) => endpoints.run(signal),
    }),
    loopComponent({
      name: 'local-node',
      dependsOn,
      clock,
      run: (signal) => runLocalNode({ client, nodeName: plan.nodeName, logger, observers }, signal),
    }),
  ];
}

/** After a reboot the CNI configuration is there and its bridge is not: it must be before kubelet makes pods. */
export async function restorePodNetwork(plan: NodePlan): Promise<void> {
  if (plan.cniConfigFile === undefined) return;
  await restorePodBridge({ configFile: plan.cniConfigFile, host: cniHost(plan.nodeAddress) });
}

function approverOptions(parts: ReconcilerParts) {
  const { node, client, clock, logger } = parts;
  const { plan, config, host } = node;
  const own = [plan.nodeAddress, ...host.addresses.map((entry) => entry.address)];
  return {
    client,
    clock,
    logger,
    ...(plan.runsWorkloads ? { localNodeName: plan.nodeName } : {}),
    allowedAddresses: (name: string) => (name === plan.nodeName ? own : undefined),
    controllerAddresses: () => own,
    podCIDR: config.spec.network.podCIDR,
    serviceCIDR: config.spec.network.serviceCIDR,
  };
}

function cniObservers(parts: ReconcilerParts): NodeObserver[] {
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
