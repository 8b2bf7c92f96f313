import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import type { NodeObserver } from './local-node.ts';
import {
  type EndpointSliceObject,
  endpointSliceResource,
  nodeIpAddresses,
  nodePodCIDRs,
} from './resources.ts';

/** What can be reached on this node; the same shape as the tunnel's `LocalRoutes`. */
export interface LocalEndpoints {
  readonly nodeName: string;
  readonly kubeletPort: number;
  readonly nodeAddresses: readonly string[];
  readonly podCIDRs: readonly string[];
  /** `10.0.0.4:4443`: endpoints on the node's own addresses. */
  readonly hostEndpoints: ReadonlySet<string>;
}

export interface LocalEndpointsOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  /** 10250 unless configured otherwise. */
  readonly kubeletPort: number;
  readonly logger: Logger;
  /** Called with the whole truth each time it changes, first before this function returns. */
  readonly publish: (endpoints: LocalEndpoints) => void;
}

export interface LocalEndpointsTracker {
  /** Gives the Node's addresses and pod networks; for `runLocalNode`. */
  readonly observer: NodeObserver;
  /** Watches EndpointSlices until aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/** More endpoints than this on one node are left out: a node has at most 110 pods. */
const maxEndpoints = 4096;

/**
 * Keeps track of what runs on this node's own addresses. Of the cluster's EndpointSlices only the endpoints that name
 * this node are kept. The node name and the kubelet's port are published at once, so `kubectl logs` waits for nothing.
 */
export function createLocalEndpoints(options: LocalEndpointsOptions): LocalEndpointsTracker {
  const { client, nodeName, kubeletPort, logger, publish } = options;
  const slices = new Map<string, readonly string[]>();
  let nodeAddresses: readonly string[] = [];
  let podCIDRs: readonly string[] = [];
  let published = '';

  function update(): void {
    const hostEndpoints = selectHostEndpoints(slices.values(), nodeAddresses);
    const fingerprint = JSON.stringify([nodeAddresses, podCIDRs, [...hostEndpoints].sort()]);
    if (fingerprint === published) return;
    published = fingerprint;
    publish({ nodeName, kubeletPort, nodeAddresses, podCIDRs, hostEndpoints });
  }

  function remember(slice: EndpointSliceObject): void {
    const endpoints = endpointsOnNode(slice, nodeName);
    if (endpoints.length === 0) slices.delete(keyOf(slice));
    else slices.set(keyOf(slice), endpoints);
  }

  update();
  return {
    observer: {
      name: 'local endpoints',
      reconcile: async (node) => {
        nodeAddresses = nodeIpAddresses(node);
        podCIDRs = nodePodCIDRs(node);
        update();
      },
    },
    run: async (signal) => {
      const events = watchResource<EndpointSliceObject>(client, endpointSliceResource, {
        signal,
        onError: (error, retryInMs) =>
          logger.debug(`watching endpoint slices: ${errorMessage(error)}`, { retryInMs }),
      });
      for await (const event of events) {
        if (event.type === 'SYNCED') {
          slices.clear();
          for (const slice of event.items) remember(slice);
        } else if (event.type === 'DELETED') slices.delete(keyOf(event.object));
        else remember(event.object);
        update();
      }
    },
  };
}

/** `address:port` of each TCP endpoint of the slice that is on the node. Pure. */
export function endpointsOnNode(slice: EndpointSliceObject, nodeName: string): readonly string[] {
  if (slice.addressType !== 'IPv4') return [];
  const ports = (slice.ports ?? [])
    .filter(({ protocol }) => protocol === undefined || protocol === 'TCP')
    .flatMap(({ port }) => port ?? []);
  return (slice.endpoints ?? [])
    .filter((endpoint) => endpoint.nodeName === nodeName)
    .flatMap(({ addresses }) => addresses)
    .flatMap((address) => ports.map((port) => `${address}:${port}`));
}

/** Those on the node's own addresses: pods with addresses of their own are found by the pod network. Pure. */
export function selectHostEndpoints(
  slices: Iterable<readonly string[]>,
  nodeAddresses: readonly string[],
): ReadonlySet<string> {
  const selected = new Set<string>();
  for (const endpoints of slices) {
    for (const endpoint of endpoints) {
      const address = endpoint.slice(0, endpoint.lastIndexOf(':'));
      if (nodeAddresses.includes(address) && selected.size < maxEndpoints) selected.add(endpoint);
    }
  }
  return selected;
}

function keyOf(slice: EndpointSliceObject): string {
  return `${slice.metadata.namespace ?? ''}/${slice.metadata.name}`;
}
