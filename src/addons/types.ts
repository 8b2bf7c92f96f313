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
  /** First address of the service CIDR: the API as pods know it. */
  readonly apiServiceAddress: string;
  /** Tenth address of the service CIDR. */
  readonly clusterDns: string;
  /** Where every node keeps `upstreamDns` for its CoreDNS. */
  readonly dnsDirectory: string;
  /** The controllers are nodes too, so the main site always has one. */
  readonly runsWorkloads: boolean;
  readonly gateway: GatewayAddress;
}

/** The one listener of the controllers, as pods reach it. */
export interface GatewayAddress {
  /** The name in every gateway's certificate, whatever address it is reached at. */
  readonly serverName: string;
  /** In the order in which they are tried. A DNS name is used only where there is no IPv4 address. */
  readonly hosts: readonly string[];
  readonly port: number;
}

/** One packaged addon: pure. */
export interface Addon {
  /** Stack name, and its name in `status`. */
  readonly name: string;
  isEnabled(config: ClusterConfig): boolean;
  planStack(context: AddonContext): ManifestStack;
}
