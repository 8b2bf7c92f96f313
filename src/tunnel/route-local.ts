import type { Cidr } from '../base/ip.ts';
import { cidrContains, cidrSize, parseCidr, parseIpv4 } from '../base/ip.ts';
import { renderTarget } from './connect-request.ts';
import type { RouteDecision, RoutingTable, Target } from './types.ts';

/** What this node serves: read from its Node object and from the EndpointSlices that name it. */
export interface LocalRoutes {
  readonly nodeName: string;
  /** 10250 unless configured otherwise. */
  readonly kubeletPort: number;
  /** IPv4 addresses of this node. */
  readonly nodeAddresses: readonly string[];
  /** `spec.podCIDRs` of the Node; empty until it has any. */
  readonly podCIDRs: readonly string[];
  /** `10.0.0.4:4443`: endpoints of hostNetwork pods of this node. */
  readonly hostEndpoints: ReadonlySet<string>;
}

/** A routing table for a controller that runs workloads; `update` replaces all of what it knows. */
export interface LocalRoutingTable extends RoutingTable {
  update(routes: LocalRoutes): void;
}

/** Routes with `initial` until the first `update`. The node name and the kubelet's port are enough for `kubectl logs`. */
export function createLocalRoutingTable(initial: LocalRoutes): LocalRoutingTable {
  let routes = initial;
  return {
    route: (host, port) => routeLocal(routes, { host, port }),
    update: (next) => {
      routes = next;
    },
  };
}

/**
 * Most specific first: this node by name; its pods; its hostNetwork endpoints; its kubelet by address. Everything
 * else is refused, and loopback is dialled for the kubelet only. Pure.
 */
export function routeLocal(routes: LocalRoutes, target: Target): RouteDecision {
  if (target.host.includes(':')) {
    return refuse(403, `${renderTarget(target)}: IPv6 targets are not supported yet`);
  }
  const address = parseIpv4(target.host);
  return address === undefined ? routeName(routes, target) : routeAddress(routes, target, address);
}

function routeName(routes: LocalRoutes, target: Target): RouteDecision {
  if (target.host !== routes.nodeName) return refuse(503, `node ${target.host} has no tunnel`);
  if (target.port === routes.kubeletPort) return dialKubelet(routes);
  for (const address of routes.nodeAddresses) {
    if (isHostEndpoint(routes, address, target.port)) return dialHostEndpoint(address, target.port);
  }
  return refuse(
    403,
    `port ${target.port} of node ${target.host} is neither its kubelet (${routes.kubeletPort}) nor an endpoint of a hostNetwork pod`,
  );
}

function routeAddress(routes: LocalRoutes, target: Target, address: number): RouteDecision {
  const forbidden = forbiddenRanges.find(({ cidr }) => cidrContains(cidr, address));
  if (forbidden !== undefined) {
    return refuse(403, `${renderTarget(target)} is ${forbidden.what}, never a target`);
  }
  const { host, port } = target;
  for (const text of routes.podCIDRs) {
    const cidr = parseCidr(text);
    if (cidr === undefined || !cidrContains(cidr, address)) continue;
    if (isPodAddress(cidr, address)) {
      return { type: 'dial', address: host, port, subject: `pod ${host}:${port}` };
    }
    return refuse(403, `${host}:${port} is the pod network's own address, not a pod`);
  }
  if (routes.nodeAddresses.includes(host)) {
    if (port === routes.kubeletPort) return dialKubelet(routes);
    if (isHostEndpoint(routes, host, port)) return dialHostEndpoint(host, port);
  }
  return refuse(403, `${host}:${port} is not a pod, node or endpoint of this cluster`);
}

/** The network's, the gateway's (the bridge, so the host itself) and the broadcast address are no pod's. */
function isPodAddress(cidr: Cidr, address: number): boolean {
  return address >= cidr.base + 2 && address < cidr.base + cidrSize(cidr) - 1;
}

function isHostEndpoint(routes: LocalRoutes, address: string, port: number): boolean {
  const value = parseIpv4(address);
  if (value === undefined) return false;
  if (forbiddenRanges.some(({ cidr }) => cidrContains(cidr, value))) return false;
  return routes.hostEndpoints.has(`${address}:${port}`);
}

function dialKubelet(routes: LocalRoutes): RouteDecision {
  return {
    type: 'dial',
    address: '127.0.0.1',
    port: routes.kubeletPort,
    subject: `kubelet of node ${routes.nodeName}`,
  };
}

function dialHostEndpoint(address: string, port: number): RouteDecision {
  return { type: 'dial', address, port, subject: `hostNetwork endpoint ${address}:${port}` };
}

function refuse(status: 403 | 503, reason: string): RouteDecision {
  return { type: 'refuse', status, reason };
}

/** Never dialled, whatever the API's objects say: users of the API must not reach the host's own services through us. */
const forbiddenRanges: readonly { readonly cidr: Cidr; readonly what: string }[] = [
  { cidr: { base: 0, prefix: 8 }, what: 'no address of a host' },
  { cidr: { base: 0x7f000000, prefix: 8 }, what: 'a loopback address' },
  { cidr: { base: 0xa9fe0000, prefix: 16 }, what: 'a link-local address' },
  { cidr: { base: 0xe0000000, prefix: 3 }, what: 'a multicast or reserved address' },
];
