import type { HostSetting } from './types.ts';

export interface PodEgressOptions {
  /** The pods' network of the whole cluster. */
  readonly podCIDR: string;
}

/**
 * What leaves the pods' network of a node. Pure.
 *
 * Nobody outside has a route to a pod, so what leaves gets the node's own address. kube-router does that too, but not
 * for the addresses of the cluster's nodes: it takes for granted that every node knows the way back to every pod. Of
 * another site's nodes that is not so, and an address of theirs may be somebody else's here. Pods of one site find each
 * other by their own addresses, as NetworkPolicy needs it.
 *
 * Towards pods the nodes of a site have routes to each other, which are narrower than the one here. Without it, packets
 * for pods of another site would follow the default route to strangers, and their senders would wait.
 */
export function podEgressSettings({ podCIDR }: PodEgressOptions): HostSetting[] {
  const ruleset = [
    '  chain postrouting {',
    // After those of kube-proxy and kube-router (100), for what these leave as it is.
    '    type nat hook postrouting priority 105; policy accept;',
    `    ip saddr ${podCIDR} ip daddr != ${podCIDR} masquerade`,
    '  }',
  ].join('\n');
  return [
    { type: 'nft-table', name: 'mini_k8s_pods', ruleset },
    { type: 'unreachable-route', destination: podCIDR },
  ];
}
