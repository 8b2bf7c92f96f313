import type { ClusterConfig } from '../config/types.ts';
import type { ManifestStack } from '../stacks/types.ts';

/** What addon manifests are made from. */
export interface AddonContext {
  readonly config: ClusterConfig;
  readonly images: {
    readonly coredns: string;
    readonly kubeRouter: string;
    readonly metricsServer: string;
  };
  /** Tenth address of the service CIDR. */
  readonly clusterDns: string;
  /** Nameservers of the node's resolv.conf: none means that CoreDNS gets no `forward`. */
  readonly hasUpstreamNameserver: boolean;
}

/** One packaged addon: pure. */
export interface Addon {
  /** Stack name, and its name in `status`. */
  readonly name: string;
  isEnabled(config: ClusterConfig): boolean;
  planStack(context: AddonContext): ManifestStack;
}
