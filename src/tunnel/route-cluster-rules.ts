import { errorMessage } from '../base/errors.ts';
import { type Cidr, cidrContains, cidrSize, parseIpv4 } from '../base/ip.ts';
import { renderTarget } from './connect-request.ts';
import { forbiddenAddress } from './forbidden-address.ts';
import type { ClusterIndex, ClusterNode } from './route-cluster-index.ts';
import type { RefuseDecision, RouteDecision, Target } from './types.ts';

/** What the rules decide by. */
export interface ClusterKnowledge {
  readonly index: ClusterIndex;
  readonly localNode: { readonly name: string; readonly kubeletPort: number } | undefined;
  readonly podNetwork: Cidr | undefined;
  readonly serviceNetwork: Cidr | undefined;
  readonly findPodNodes: ((address: string) => Promise<readonly string[]>) | undefined;
  /** False until the Nodes were read for the first time. */
  hasNodes: boolean;
}

type Table = Readonly<ClusterKnowledge>;

/**
 * Most specific first and the same for every node, this one too. A promise only where nothing but a pod look-up is left.
 */
export function routeCluster(table: Table, target: Target): RouteDecision | Promise<RouteDecision> {
  const { host } = target;
  if (host.includes(':')) {
    return refuse(403, `${renderTarget(target)}: IPv6 targets are not supported yet`);
  }
  const address = parseIpv4(host);
  if (address === undefined) return routeName(table, target);
  const forbidden = forbiddenAddress(address);
  if (forbidden !== undefined) {
    return refuse(403, `${renderTarget(target)} is ${forbidden}, never a target`);
  }
  return (
    routePodNetwork(table, target, address) ??
    routeEndpoint(table, target) ??
    routeNodeAddress(table, target) ??
    refuseService(table, target, address) ??
    routeUnknown(table, target)
  );
}

function routeName({ index, hasNodes, ...table }: Table, target: Target): RouteDecision {
  const rule = 'node-name';
  const { host, port } = target;
  const node = index.nodes.get(host);
  if (node === undefined) {
    const [misnamed] = index.nodesOfHostname(host);
    if (misnamed !== undefined) return refuseMisnamed(misnamed, host);
    const reason = hasNodes
      ? `no node named ${host}`
      : 'this controller has not read the nodes yet';
    return refuse(503, reason, rule);
  }
  if (node.hostname !== undefined && node.hostname !== host) {
    return refuseMisnamed(node.name, node.hostname);
  }
  if (port === node.kubeletPort) return toKubelet(table, node, rule);
  for (const address of node.addresses) {
    if (index.nodesOfEndpoint(address, port).includes(host) && isDialable(address)) {
      return toNode(table, node, { host: address, port, what: 'hostNetwork endpoint', rule });
    }
  }
  return refuse(
    403,
    `port ${port} of node ${host} is neither its kubelet (${node.kubeletPort}) nor an endpoint of a hostNetwork pod`,
    rule,
  );
}

/** kube-apiserver asks for what the kubelet reports, so the answers would be another machine's. */
function refuseMisnamed(nodeName: string, hostname: string): RefuseDecision {
  const reason = `node ${nodeName} reports the host name ${hostname}: requests for it would go to the wrong node`;
  return refuse(503, reason, 'node-name');
}

function routePodNetwork(table: Table, target: Target, address: number): RouteDecision | undefined {
  const rule = 'pod-cidr';
  const { host, port } = target;
  const networks = table.index.podNetworksOf(address);
  const [network] = networks;
  if (network === undefined) return undefined;
  const names = new Set(networks.flatMap(({ nodeNames }) => [...nodeNames]));
  if (names.size > 1) {
    const reason = `ambiguous pod address ${host}: it is in the pod networks of nodes ${list(names)}`;
    return refuse(503, reason, rule);
  }
  if (!isPodAddress(network.cidr, address)) {
    return refuse(403, `${host}:${port} is the pod network's own address, not a pod`, rule);
  }
  const [node] = known(table, names);
  return node === undefined ? undefined : toNode(table, node, { host, port, what: 'pod', rule });
}

/** The network's, the gateway's (the bridge, so the host itself) and the broadcast address are no pod's. */
function isPodAddress(cidr: Cidr, address: number): boolean {
  return address >= cidr.base + 2 && address < cidr.base + cidrSize(cidr) - 1;
}

function routeEndpoint(table: Table, target: Target): RouteDecision | undefined {
  const rule = 'endpoint';
  const { host, port } = target;
  const names = table.index.nodesOfEndpoint(host, port);
  if (names.length === 0) return undefined;
  const [node, ...others] = known(table, names);
  if (node === undefined) {
    return refuse(
      503,
      `endpoint ${host}:${port} is on node ${list(names)}, which is not there`,
      rule,
    );
  }
  if (others.length > 0) {
    const nodes = list([node, ...others].map(({ name }) => name));
    return refuse(503, `ambiguous endpoint ${host}:${port}: nodes ${nodes} have it`, rule);
  }
  // What this process dials itself must be its own: anybody who may write EndpointSlices could name any address.
  if (node.name === table.localNode?.name && !node.addresses.includes(host)) return undefined;
  return toNode(table, node, { host, port, what: 'endpoint', rule });
}

function routeNodeAddress(table: Table, target: Target): RouteDecision | undefined {
  const rule = 'node-address';
  const { host, port } = target;
  const names = table.index.nodesOfAddress(host);
  const nodes = known(table, names);
  const [node] = nodes;
  if (node === undefined) return undefined;
  if (!nodes.some(({ kubeletPort }) => kubeletPort === port)) {
    return refuse(403, `${host}:${port} is not a pod, node or endpoint of this cluster`, rule);
  }
  if (nodes.length === 1) return toKubelet(table, node, rule);
  return refuse(503, `ambiguous node address ${host}: nodes ${list(names)} have it`, rule);
}

function refuseService(table: Table, target: Target, address: number): RouteDecision | undefined {
  const { serviceNetwork } = table;
  if (serviceNetwork === undefined || !cidrContains(serviceNetwork, address)) return undefined;
  const reason = `${renderTarget(target)} is a Service's address: the tunnel reaches endpoints only`;
  return refuse(503, reason, 'service');
}

function routeUnknown(table: Table, target: Target): RouteDecision | Promise<RouteDecision> {
  if (!table.hasNodes) return refuse(503, 'this controller has not read the nodes yet');
  const { findPodNodes } = table;
  return findPodNodes === undefined ? refuseUnknown(target) : routePod(table, target, findPodNodes);
}

async function routePod(
  table: Table,
  { host, port }: Target,
  findPodNodes: (address: string) => Promise<readonly string[]>,
): Promise<RouteDecision> {
  const rule = 'pod-address';
  try {
    const names = new Set(await findPodNodes(host));
    const [node, ...others] = known(table, names);
    if (others.length > 0) {
      const reason = `ambiguous pod address ${host}: nodes ${list(names)} have a pod there`;
      return refuse(503, reason, rule);
    }
    if (node === undefined) return refuseUnknown({ host, port });
    return toNode(table, node, { host, port, what: 'pod', rule });
  } catch (error) {
    const reason = `cannot ask the API which node has ${host}: ${errorMessage(error)}`;
    return refuse(503, reason, rule);
  }
}

function refuseUnknown(target: Target): RefuseDecision {
  return refuse(403, `${renderTarget(target)} is not a pod, node or endpoint of this cluster`);
}

function toKubelet(
  { localNode }: Pick<Table, 'localNode'>,
  { name, kubeletPort: port }: ClusterNode,
  rule: string,
): RouteDecision {
  const subject = `kubelet of node ${name}`;
  return name === localNode?.name
    ? { type: 'dial', address: '127.0.0.1', port, subject, rule }
    : { type: 'agent', nodeName: name, host: name, port, subject, rule };
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly what: string;
  readonly rule: string;
}

function toNode(
  { localNode }: Pick<Table, 'localNode'>,
  { name }: ClusterNode,
  { host, port, what, rule }: Place,
): RouteDecision {
  const subject = `${what} ${host}:${port}`;
  return name === localNode?.name
    ? { type: 'dial', address: host, port, subject, rule }
    : { type: 'agent', nodeName: name, host, port, subject: `${subject} of node ${name}`, rule };
}

function isDialable(address: string): boolean {
  const value = parseIpv4(address);
  return value !== undefined && forbiddenAddress(value) === undefined;
}

function known({ index }: Table, names: Iterable<string>): readonly ClusterNode[] {
  return [...names].flatMap((name) => index.nodes.get(name) ?? []);
}

function list(names: Iterable<string>): string {
  return [...names].toSorted().join(', ');
}

function refuse(status: 403 | 503, reason: string, rule = 'none'): RefuseDecision {
  return { type: 'refuse', status, reason, rule };
}
