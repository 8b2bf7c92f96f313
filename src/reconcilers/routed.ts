import { parseIpv4 } from '../base/ip.ts';
import {
  type EndpointSliceObject,
  type NodeObject,
  nodeIpAddresses,
  nodePodCIDRs,
} from './resources.ts';

/** What routing keeps of a Node; the same shape as the tunnel's `ClusterNode`. */
export interface RoutedNode {
  readonly name: string;
  readonly hostname: string | undefined;
  /** IPv4. */
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
  readonly kubeletPort: number;
}

/** One TCP endpoint; the same shape as the tunnel's `ClusterEndpoint`. */
export interface RoutedEndpoint {
  readonly address: string;
  readonly port: number;
  readonly nodeName: string;
}

/** kubelet's own default. @see https://kubernetes.io/docs/reference/networking/ports-and-protocols/ */
const kubeletPort = 10250;
/** A kubelet writes its addresses itself: it shall not fill this process's memory with them. */
const maxAddresses = 32;

/** Pure. */
export function routedNode(node: NodeObject): RoutedNode {
  const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
  return {
    name: node.metadata.name,
    hostname: nodeHostname(node)?.toLowerCase(),
    addresses: [...new Set(nodeIpAddresses(node))]
      .filter((address) => parseIpv4(address) !== undefined)
      .slice(0, maxAddresses),
    podCIDRs: nodePodCIDRs(node),
    kubeletPort: port > 0 ? port : kubeletPort,
  };
}

/** The name that kube-apiserver asks for: of a Node without a Hostname address it takes the label. Pure. */
export function nodeHostname(node: NodeObject): string | undefined {
  const address = node.status?.addresses?.find(({ type }) => type === 'Hostname')?.address;
  return address ?? node.metadata.labels?.['kubernetes.io/hostname'];
}

/** Each TCP endpoint of the slice that names a node. Pure. */
export function routedEndpoints(slice: EndpointSliceObject): readonly RoutedEndpoint[] {
  if (slice.addressType !== 'IPv4') return [];
  const ports = (slice.ports ?? [])
    .filter(({ protocol }) => protocol === undefined || protocol === 'TCP')
    .flatMap(({ port }) => port ?? []);
  return (slice.endpoints ?? []).flatMap(({ addresses, nodeName }) =>
    nodeName === undefined
      ? []
      : addresses.flatMap((address) => ports.map((port) => ({ address, port, nodeName }))),
  );
}
