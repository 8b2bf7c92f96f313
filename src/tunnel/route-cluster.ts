import { type Cidr, cidrContains, parseCidr } from '../base/ip.ts';
import { type ClusterEndpoint, ClusterIndex, type ClusterNode } from './route-cluster-index.ts';
import { type ClusterKnowledge, routeCluster } from './route-cluster-rules.ts';
import type { RoutingTable } from './types.ts';

export interface ClusterRoutesOptions {
  /** The node that this process reaches itself, known before the API is; undefined on a controller without workloads. */
  readonly localNode: { readonly name: string; readonly kubeletPort: number } | undefined;
  /** Of the cluster: a node's claim to a pod network outside of it counts for nothing. */
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  /**
   * Names of the nodes that run a pod of this address, none of the host network. Asked for addresses that nothing else
   * explains, as those of pod networks that do not follow the Nodes' pod CIDRs. Should answer within 3 s.
   */
  readonly findPodNodes?: (address: string) => Promise<readonly string[]>;
}

/** The routing table of a controller; what the API says is put in by `set…` and `delete…`. */
export interface ClusterRoutes extends RoutingTable {
  /** All Nodes there are. Until the first time, a name that is not known is not said to be wrong. */
  replaceNodes(nodes: readonly ClusterNode[]): void;
  setNode(node: ClusterNode): void;
  deleteNode(name: string): void;
  /** Forgets the slices that are not among these, by namespace and name. */
  retainSlices(slices: ReadonlySet<string>): void;
  setSlice(slice: string, endpoints: readonly ClusterEndpoint[]): void;
  deleteSlice(slice: string): void;
  hasNode(name: string): boolean;
  /** What is kept. */
  size(): { readonly nodes: number; readonly endpoints: number };
}

/**
 * Routes by node name first; then by pod network, by endpoint, and by an address that one node alone has. What is
 * ambiguous is refused, never guessed, and so is all that the cluster does not know.
 */
export function createClusterRoutes(options: ClusterRoutesOptions): ClusterRoutes {
  const index = new ClusterIndex();
  const table: ClusterKnowledge = {
    localNode: options.localNode,
    findPodNodes: options.findPodNodes,
    index,
    podNetwork: parseCidr(options.podCIDR),
    serviceNetwork: parseCidr(options.serviceCIDR),
    hasNodes: false,
  };
  const deleteNode = (name: string) => {
    index.deleteNode(name);
    if (name === options.localNode?.name) index.setNode(bareNode(options.localNode));
  };
  if (options.localNode !== undefined) index.setNode(bareNode(options.localNode));
  return {
    route: (host, port) => routeCluster(table, { host, port }),
    replaceNodes: (nodes) => {
      const names = new Set(nodes.map(({ name }) => name));
      for (const name of [...index.nodes.keys()]) if (!names.has(name)) deleteNode(name);
      for (const node of nodes) index.setNode(acceptNode(table, node));
      table.hasNodes = true;
    },
    setNode: (node) => index.setNode(acceptNode(table, node)),
    deleteNode,
    retainSlices: (slices) => {
      for (const name of index.sliceNames()) if (!slices.has(name)) index.deleteSlice(name);
    },
    setSlice: (slice, endpoints) => index.setSlice(slice, endpoints),
    deleteSlice: (slice) => index.deleteSlice(slice),
    hasNode: (name) => index.nodes.has(name),
    size: () => ({ nodes: index.nodes.size, endpoints: index.endpointCount }),
  };
}

/** Enough for `kubectl logs` before the API answers. */
function bareNode(node: { readonly name: string; readonly kubeletPort: number }): ClusterNode {
  return { ...node, hostname: undefined, addresses: [], podCIDRs: [] };
}

function acceptNode(table: ClusterKnowledge, node: ClusterNode): ClusterNode {
  const { podNetwork, localNode } = table;
  const isInCluster = (text: string) => {
    const cidr = parseCidr(text);
    return cidr !== undefined && podNetwork !== undefined && isWithin(cidr, podNetwork);
  };
  return {
    ...node,
    podCIDRs: node.podCIDRs.filter(isInCluster),
    ...(node.name === localNode?.name ? { kubeletPort: localNode.kubeletPort } : {}),
  };
}

function isWithin(cidr: Cidr, outer: Cidr): boolean {
  return cidr.prefix >= outer.prefix && cidrContains(outer, cidr.base);
}
