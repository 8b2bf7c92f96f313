/** What the user wants, all defaults filled in. Read-only all the way down. */
export interface ClusterConfig {
  readonly apiVersion: 'mini-k8s.io/v1alpha1';
  readonly kind: 'ClusterConfig';
  readonly metadata: { readonly name: string };
  readonly spec: ClusterSpec;
}

export interface ClusterSpec {
  readonly api: {
    /** IPv4 address that clients and the `kubernetes` Service use; chosen from the host when empty. */
    readonly address: string;
    readonly port: number;
    /** Of the one port for workers: joining, artifacts, the tunnel. */
    readonly gatewayPort: number;
    /** IPv4 address or DNS name that workers elsewhere reach this machine at; empty: `address`. */
    readonly externalAddress: string;
    /** More names and addresses for the API server's certificate. */
    readonly sans: readonly string[];
  };
  readonly node: {
    /** Kubernetes node name; the lower-cased host name when empty. */
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    /** `key=value:Effect`, given to the node when it registers for the first time. */
    readonly taints: readonly string[];
  };
  readonly network: {
    readonly podCIDR: string;
    readonly serviceCIDR: string;
    readonly clusterDomain: string;
    /** `30000-32767`. */
    readonly nodePortRange: string;
    /** `kube-router`, or `custom`: the user brings a CNI by manifest. */
    readonly provider: 'kube-router' | 'custom';
    readonly kubeProxy: {
      readonly enabled: boolean;
      readonly mode: 'auto' | 'nftables' | 'iptables';
    };
  };
  readonly storage: { readonly etcd: { readonly clientPort: number; readonly peerPort: number } };
  readonly artifacts: ArtifactsSpec;
  readonly proxy: ProxySpec;
  /** By the registry's name; `*` for all others. */
  readonly registries: Readonly<Record<string, RegistrySpec>>;
  /** Fields of KubeletConfiguration, laid over ours. */
  readonly kubelet: Readonly<Record<string, unknown>>;
  readonly extraArgs: Readonly<Record<ExtraArgsComponent, ExtraArgs>>;
  readonly addons: {
    readonly coredns: { readonly enabled: boolean };
    readonly metricsServer: { readonly enabled: boolean };
  };
  /** `default` for SD cards and small memory, `cis` for every scored check's letter (design §11.11). */
  readonly hardening: 'default' | 'cis';
  /** `small` tunes for 1 vCPU / 1 GB; `upstream` leaves upstream's defaults: the bench's baseline. */
  readonly tuning: 'small' | 'upstream';
}

/** Where executables come from that neither the store nor a bundle has. */
export interface ArtifactsSpec {
  /** Address below which upstream's files are by upstream's paths, or of a registry (`oci://`); empty: none. */
  readonly mirror: string;
  /** Take executables from a registry though nothing says that they are upstream's. */
  readonly trustMirror: boolean;
  /** PEM of CAs that are trusted for downloads besides the machine's own. */
  readonly ca: string;
  /** Absolute path of a file with `user:password` for the mirror; empty: none. */
  readonly credentialsFile: string;
  /** dl.k8s.io and github.com, for what nobody else has. */
  readonly upstream: { readonly enabled: boolean };
}

/** The machine's proxy; URLs may hold a password, so that none of it is ever shown as it is. */
export interface ProxySpec {
  readonly http: string;
  readonly https: string;
  readonly noProxy: readonly string[];
}

/** A registry of images. */
export interface RegistrySpec extends RegistryAccess {
  /** Where it is; empty: `https://` and its name. */
  readonly url: string;
  /** Asked in this order before the registry itself. */
  readonly mirrors: readonly (RegistryAccess & { readonly url: string })[];
}

export interface RegistryAccess {
  /** PEM of CAs besides the machine's own; empty: none. */
  readonly ca: string;
  /** Absolute path of a file with `user:password`; empty: none. */
  readonly credentialsFile: string;
}

/** Components that take more flags. */
export type ExtraArgsComponent =
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'containerd'
  | 'kubelet'
  | 'kube-proxy';

/** Flags by name, without dashes. */
export type ExtraArgs = Readonly<
  Record<string, string | number | boolean | readonly (string | number)[]>
>;
