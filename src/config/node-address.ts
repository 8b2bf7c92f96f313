import type { HostAddress, HostFacts } from './host-facts.ts';

/** Interfaces that containers and clusters make. */
const containerInterface = /^(kube-|cni|veth|docker|br-|virbr|flannel|cali)/;
/** Those that this cluster makes: they have no address before it and none without it. */
const ownInterface = /^(kube-|cni|veth)/;

/** Whether it is the machine's own, and not one that comes and goes with the cluster's pods. */
export function isMachineAddress(entry: HostAddress): boolean {
  return !ownInterface.test(entry.interface);
}

/** The default route's interface first, then other machines' side, then `lo`, then what containers made. */
export function orderAddresses(
  addresses: readonly HostAddress[],
  defaultInterface: string | undefined,
): HostAddress[] {
  const rank = ({ interface: name }: HostAddress) => {
    if (name === defaultInterface) return 0;
    if (name === 'lo') return 2;
    return containerInterface.test(name) ? 3 : 1;
  };
  return addresses.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * The address that the node is known by unless one is configured: without a network the one of its last start, so that
 * a node boots with its cable unplugged. Undefined when there is none at all.
 */
export function nodeAddressOf(
  host: Pick<HostFacts, 'addresses' | 'lastAddress'>,
): string | undefined {
  const isLasting = (entry: HostAddress) => !containerInterface.test(entry.interface);
  return (
    host.addresses.find(isLasting)?.address ??
    host.lastAddress ??
    host.addresses.find(isMachineAddress)?.address
  );
}
