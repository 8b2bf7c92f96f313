import { cidrContains, nthAddress, parseCidr, parseIpv4 } from '../base/ip.ts';

/** The bridge that pods are plugged into; kube-router and its CNI configuration know it by this name. */
export const podBridgeName = 'kube-bridge';

/** What the bridge must be. */
export interface PodBridge {
  /** The node's pod network: `10.244.0.0/24`. */
  readonly podCIDR: string;
  /** Bytes. */
  readonly mtu: number;
}

/** What `ip -json address show` says of the bridge; undefined when there is none. */
export interface LinkState {
  readonly macAddress: string;
  readonly mtu: number;
  readonly isUp: boolean;
  /** IPv4 with prefix length. */
  readonly addresses: readonly string[];
}

/**
 * The `ip` commands that make the bridge complete: a fixed hardware address, the gateway's address, up. Without them
 * the first pods' sandboxes each try to set both at the same time, and all but one fail ("could not set bridge's
 * mac"). The CNI bridge plugin touches neither when the address is already there. Pure; none when nothing is to do.
 * @throws Error when the pod network is not an IPv4 network with room for a gateway.
 * @see https://www.cni.dev/plugins/current/main/bridge/
 */
export function planPodBridge(
  wanted: PodBridge,
  state: LinkState | undefined,
): readonly (readonly string[])[] {
  const { mac, address } = gatewayOf(wanted.podCIDR);
  const set = ['link', 'set', 'dev', podBridgeName];
  const stale = (state?.addresses ?? []).filter((other) => other !== address);
  return [
    ...(state === undefined
      ? [['link', 'add', 'name', podBridgeName, 'address', mac, 'type', 'bridge']]
      : []),
    // An address that is given stays; one that the kernel chose changes with the ports.
    ...(state !== undefined && state.macAddress !== mac ? [[...set, 'address', mac]] : []),
    ...(state?.mtu === wanted.mtu ? [] : [[...set, 'mtu', String(wanted.mtu)]]),
    // The plugin refuses a bridge with another IPv4 address, such as that of an earlier pod network.
    ...stale.map((other) => ['address', 'del', other, 'dev', podBridgeName]),
    ...(state?.addresses.includes(address) === true
      ? []
      : [['address', 'add', address, 'dev', podBridgeName]]),
    ...(state?.isUp === true ? [] : [[...set, 'up']]),
  ];
}

/** Reads the output of `ip -json address show`: the bridge's state, undefined when it is not among the links. */
export function parseLinkState(json: string): LinkState | undefined {
  const links = JSON.parse(json === '' ? '[]' : json) as readonly IpLink[];
  const link = links.find(({ ifname }) => ifname === podBridgeName);
  if (link === undefined) return undefined;
  return {
    macAddress: link.address ?? '',
    mtu: link.mtu ?? 0,
    isUp: link.flags?.includes('UP') === true,
    addresses: (link.addr_info ?? [])
      .filter(({ family }) => family === 'inet')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  };
}

interface IpLink {
  readonly ifname?: string;
  readonly address?: string;
  readonly mtu?: number;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly {
    readonly family: string;
    readonly local: string;
    readonly prefixlen: number;
  }[];
}

/** The first address of the network, and a hardware address made from it: 0a:58 is locally administered. */
function gatewayOf(podCIDR: string): { mac: string; address: string } {
  const cidr = parseCidr(podCIDR);
  if (cidr === undefined || cidr.prefix > 29) {
    throw new Error(`the pod network ${podCIDR} is not an IPv4 network of at least 8 addresses`);
  }
  const gateway = nthAddress(cidr, 1);
  const value = parseIpv4(gateway);
  if (value === undefined || !cidrContains(cidr, value))
    throw new Error(`no gateway in ${podCIDR}`);
  const octets = gateway.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return { mac: ['0a', '58', ...octets].join(':'), address: `${gateway}/${cidr.prefix}` };
}
