import { type Cidr, cidrContains, cidrSize, parseCidr, parseIpv4 } from '../base/ip.ts';
import { renderTarget } from './connect-request.ts';
import { forbiddenAddress } from './forbidden-address.ts';
import type { DialDecision, RefuseDecision, Target } from './types.ts';

/** What a node lets controllers reach through its agent, from what the node knows about itself. */
export interface AgentAllowList {
  readonly nodeName: string;
  /** 10250 unless configured otherwise. */
  readonly kubeletPort: number;
  /** `spec.podCIDRs` of the Node; empty until it has any. */
  readonly podCIDRs: readonly string[];
  /** IPv4 addresses of this node. */
  readonly nodeAddresses: readonly string[];
  /** `10.0.0.4:4443`: endpoints of hostNetwork pods of this node. */
  readonly hostPorts: ReadonlySet<string>;
  /** IPv4 addresses of this node's pods that are in none of `podCIDRs`: the pod network gives them out by itself. */
  readonly podAddresses: ReadonlySet<string>;
}

/**
 * Where a target is on this node, or why it is not served. Nothing but the kubelet, this node's pods and the endpoints
 * of its hostNetwork pods: a controller that was broken into must not reach the LAN behind the node. Pure.
 */
export function checkAllowed(list: AgentAllowList, target: Target): DialDecision | RefuseDecision {
  if (target.host.includes(':')) {
    return refuse(`${renderTarget(target)}: IPv6 targets are not supported yet`);
  }
  const address = parseIpv4(target.host);
  return address === undefined ? checkName(list, target) : checkAddress(list, target, address);
}

function checkName(list: AgentAllowList, target: Target): DialDecision | RefuseDecision {
  if (target.host !== list.nodeName) {
    return refuse(`this is the agent of node ${list.nodeName}, not of ${target.host}`);
  }
  if (target.port === list.kubeletPort) return dialKubelet(list);
  for (const address of list.nodeAddresses) {
    if (isHostPort(list, address, target.port)) return dialHostPort(address, target.port);
  }
  return refuse(
    `port ${target.port} of node ${list.nodeName} is neither its kubelet (${list.kubeletPort}) nor an endpoint of a hostNetwork pod`,
  );
}

function checkAddress(
  list: AgentAllowList,
  target: Target,
  address: number,
): DialDecision | RefuseDecision {
  const { host, port } = target;
  const forbidden = forbiddenAddress(address);
  if (forbidden !== undefined) return refuse(`${host}:${port} is ${forbidden}, never a target`);
  for (const text of list.podCIDRs) {
    const cidr = parseCidr(text);
    if (cidr === undefined || !cidrContains(cidr, address)) continue;
    if (isPodAddress(cidr, address)) return dialPod(host, port);
    return refuse(`${host}:${port} is the pod network's own address, not a pod`);
  }
  if (list.nodeAddresses.includes(host)) {
    if (isHostPort(list, host, port)) return dialHostPort(host, port);
    return refuse(`${host}:${port} is no endpoint of a hostNetwork pod of node ${list.nodeName}`);
  }
  // After the node's own addresses: a pod's status that claims one of them opens no port of the host.
  if (list.podAddresses.has(host)) return dialPod(host, port);
  return refuse(`${host}:${port} is not on node ${list.nodeName}`);
}

/** The network's, the gateway's (the bridge, so the host itself) and the broadcast address are no pod's. */
function isPodAddress(cidr: Cidr, address: number): boolean {
  return address >= cidr.base + 2 && address < cidr.base + cidrSize(cidr) - 1;
}

function isHostPort(list: AgentAllowList, address: string, port: number): boolean {
  const value = parseIpv4(address);
  if (value === undefined || forbiddenAddress(value) !== undefined) return false;
  return list.hostPorts.has(`${address}:${port}`);
}

function dialKubelet(list: AgentAllowList): DialDecision {
  return {
    type: 'dial',
    address: '127.0.0.1',
    port: list.kubeletPort,
    subject: `kubelet of node ${list.nodeName}`,
  };
}

function dialPod(address: string, port: number): DialDecision {
  return { type: 'dial', address, port, subject: `pod ${address}:${port}` };
}

function dialHostPort(address: string, port: number): DialDecision {
  return { type: 'dial', address, port, subject: `hostNetwork endpoint ${address}:${port}` };
}

function refuse(reason: string): RefuseDecision {
  return { type: 'refuse', status: 403, reason };
}
