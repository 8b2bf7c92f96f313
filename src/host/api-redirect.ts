import type { HostSetting } from './types.ts';

export interface ApiRedirectOptions {
  /** The first address of the service network: 10.96.0.1. */
  readonly serviceAddress: string;
  /** 443. */
  readonly servicePort: number;
  /** Where the local API listens: on loopback, and on the address of the pods' bridge. */
  readonly apiPort: number;
  /** The bridge that pods are plugged into; without one, pods reach the API as kube-proxy leads them. */
  readonly podInterface?: string;
}

/**
 * Leads the API's Service to the balancer of this machine, so that pods and programs here reach a kube-apiserver
 * whatever address it advertises: of one behind another router, that address leads nowhere.
 *
 * `redirect` means the address of the interface that a packet came in by (the bridge's), and 127.0.0.1 for packets of
 * this machine. The first chain that translates a connection is the only one, so these come before kube-proxy's, which
 * are at priority dstnat (-100), in nftables as in iptables. Without nft there is no such table: in iptables kube-proxy
 * puts its own rules before all others whenever it starts. Pure.
 * @see https://wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks
 */
export function apiRedirectRules(
  options: ApiRedirectOptions,
): Extract<HostSetting, { type: 'nft-table' }> {
  const { serviceAddress, servicePort, apiPort, podInterface } = options;
  const redirect = `ip daddr ${serviceAddress} tcp dport ${servicePort} redirect to :${apiPort}`;
  const ruleset = [
    ...(podInterface === undefined
      ? []
      : [chain('prerouting', `iifname "${podInterface}" ${redirect}`)]),
    chain('output', redirect),
  ].join('\n');
  return { type: 'nft-table', name: 'mini_k8s_api', ruleset };
}

/** By number, since nft before 1.0 knows no name for this priority in `output`. */
const priority = -105;

function chain(hook: 'prerouting' | 'output', rule: string): string {
  return [
    `  chain ${hook} {`,
    `    type nat hook ${hook} priority ${priority}; policy accept;`,
    `    ${rule}`,
    '  }',
  ].join('\n');
}
