import { errorMessage } from '../base/errors.ts';
import { cidrContains, parseCidr, parseIpv4 } from '../base/ip.ts';
import type { Logger } from '../base/logger.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import type { NodeObserver } from './local-node.ts';
import {
  type EndpointSliceObject,
  endpointSliceResource,
  nodeIpAddresses,
  nodePodCIDRs,
  type PodObject,
  podResource,
} from './resources.ts';
import { routedEndpoints } from './routed.ts';

/** What a node's tunnel agent may reach; holds all of the tunnel's `AgentAllowList`. */
export interface AgentTargets {
  readonly nodeName: string;
  readonly kubeletPort: number;
  readonly podCIDRs: readonly string[];
  readonly nodeAddresses: readonly string[];
  /** `10.0.0.4:4443`: what hostNetwork pods of this node serve on its addresses. */
  readonly hostPorts: ReadonlySet<string>;
  /** Of pods of this node that are outside its pod CIDRs, as with pod networks of other kinds. */
  readonly podAddresses: ReadonlySet<string>;
}

export interface AgentAllowListOptions {
  /** The kubelet's own credentials are enough. */
  readonly client: KubeClient;
  readonly nodeName: string;
  /** 10250 unless configured otherwise. */
  readonly kubeletPort: number;
  /**
   * The pod network gives out addresses by itself, outside of the Node's pod CIDRs. Otherwise such an address in a pod's
   * status is nobody's pod, and may be anything on the node's LAN.
   */
  readonly hasOwnAddresses: boolean;
  readonly logger: Logger;
  /** Called with the whole truth each time it changes, first before this function returns. */
  readonly publish: (targets: AgentTargets) => void;
}

export interface AgentAllowListSource {
  /** Gives the Node's addresses and pod networks; for `runLocalNode`. */
  readonly observer: NodeObserver;
  /** Watches this node's pods and the EndpointSlices until aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/** What this node's pods say: ports on the host's addresses, and addresses of their own. */
export interface PodTargets {
  readonly ports: readonly number[];
  readonly address: string | undefined;
}

/** A node has at most some hundred pods: more ports than this come from a mistake. */
const maxHostPorts = 4096;

/**
 * Keeps track of what the agent of this node may be asked for. The node name and the kubelet's port are published at
 * once, so that `kubectl logs` waits for nothing.
 */
export function createAgentAllowListSource(options: AgentAllowListOptions): AgentAllowListSource {
  const { nodeName, kubeletPort, hasOwnAddresses, publish } = options;
  const pods = new Map<string, PodTargets>();
  const slices = new Map<string, readonly string[]>();
  let nodeAddresses: readonly string[] = [];
  let podCIDRs: readonly string[] = [];
  let published = '';

  function update(): void {
    const known = { pods: [...pods.values()], slices: [...slices.values()] };
    const targets = selectTargets({ nodeName, kubeletPort, nodeAddresses, podCIDRs }, known);
    const fingerprint = JSON.stringify([
      ...[targets.nodeAddresses, targets.podCIDRs],
      ...[[...targets.hostPorts].sort(), [...targets.podAddresses].sort()],
    ]);
    if (fingerprint === published) return;
    published = fingerprint;
    publish(targets);
  }

  update();
  return {
    observer: {
      name: 'tunnel allow-list',
      reconcile: async (node) => {
        nodeAddresses = nodeIpAddresses(node);
        podCIDRs = nodePodCIDRs(node);
        update();
      },
    },
    run: async (signal) => {
      const follow = { ...options, signal, update };
      await Promise.all([
        followResource<PodObject, PodTargets>(follow, {
          resource: podResource,
          fieldSelector: `spec.nodeName=${nodeName}`,
          known: pods,
          read: (pod) => podTargets(pod, { hasOwnAddresses }),
        }),
        followResource<EndpointSliceObject, readonly string[]>(follow, {
          resource: endpointSliceResource,
          known: slices,
          read: (slice) => endpointsOf(slice, nodeName),
        }),
      ]);
    },
  };
}

interface Followed<T extends KubeObject, K> {
  readonly resource: ResourceType;
  readonly fieldSelector?: string;
  /** By namespace and name: what was read of each object. */
  readonly known: Map<string, K>;
  /** Undefined for an object of which nothing is to be kept. */
  readonly read: (object: T) => K | undefined;
}

interface FollowContext extends AgentAllowListOptions {
  readonly signal: AbortSignal;
  readonly update: () => void;
}

async function followResource<T extends KubeObject, K>(
  { client, logger, signal, update }: FollowContext,
  { resource, fieldSelector, known, read }: Followed<T, K>,
): Promise<void> {
  const remember = (object: T) => {
    const value = read(object);
    if (value === undefined) known.delete(keyOf(object));
    else known.set(keyOf(object), value);
  };
  const events = watchResource<T>(client, resource, {
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    signal,
    onError: (error, retryInMs) =>
      logger.debug(`watching ${resource.plural}: ${errorMessage(error)}`, { retryInMs }),
  });
  for await (const event of events) {
    if (event.type === 'SYNCED') {
      known.clear();
      for (const object of event.items) remember(object);
    } else if (event.type === 'DELETED') known.delete(keyOf(event.object));
    else remember(event.object);
    update();
  }
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

/** What a pod of this node lets others reach; undefined for one that has ended. Pure. */
export function podTargets(
  { spec, status }: PodObject,
  { hasOwnAddresses }: Pick<AgentAllowListOptions, 'hasOwnAddresses'>,
): PodTargets | undefined {
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
  if (spec?.hostNetwork !== true) {
    const address = hasOwnAddresses ? status?.podIP : undefined;
    return address === undefined ? undefined : { ports: [], address };
  }
  const ports = [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
    .flatMap((container) => container.ports ?? [])
    .filter(({ protocol }) => protocol === undefined || protocol === 'TCP')
    .flatMap(({ containerPort, hostPort }) => [containerPort, hostPort ?? containerPort]);
  return ports.length === 0 ? undefined : { ports: [...new Set(ports)], address: undefined };
}

function endpointsOf(slice: EndpointSliceObject, nodeName: string): readonly string[] | undefined {
  const own = routedEndpoints(slice).filter((endpoint) => endpoint.nodeName === nodeName);
  return own.length === 0 ? undefined : own.map(({ address, port }) => `${address}:${port}`);
}

/** Of endpoints those on the node's own addresses; of pods' addresses those that its pod networks do not hold. Pure. */
export function selectTargets(
  node: Pick<AgentTargets, 'nodeName' | 'kubeletPort' | 'nodeAddresses' | 'podCIDRs'>,
  known: { readonly pods: readonly PodTargets[]; readonly slices: readonly (readonly string[])[] },
): AgentTargets {
  const { nodeAddresses, podCIDRs } = node;
  const hostPorts = new Set<string>();
  const add = (endpoint: string) => {
    if (hostPorts.size < maxHostPorts) hostPorts.add(endpoint);
  };
  for (const port of known.pods.flatMap(({ ports }) => ports)) {
    for (const address of nodeAddresses) add(`${address}:${port}`);
  }
  for (const endpoint of known.slices.flat()) {
    if (nodeAddresses.includes(endpoint.slice(0, endpoint.lastIndexOf(':')))) add(endpoint);
  }
  const networks = podCIDRs.flatMap((text) => parseCidr(text) ?? []);
  const isOutside = (address: string) => {
    const value = parseIpv4(address);
    return value !== undefined && !networks.some((cidr) => cidrContains(cidr, value));
  };
  const addresses = known.pods.flatMap(({ address }) => address ?? []).filter(isOutside);
  return { ...node, hostPorts, podAddresses: new Set(addresses) };
}
