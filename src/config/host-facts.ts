/** What was read from the machine once, so that planning never reads it. */
export interface HostFacts {
  /** As the kernel has it. */
  readonly hostname: string;
  /** Identity of the installation, 32 hex digits. */
  readonly machineId: string;
  readonly arch: 'amd64' | 'arm64';
  readonly memoryBytes: number;
  readonly cpus: number;
  /** `v1` is also what kubelet calls a hybrid. */
  readonly cgroupVersion: 'v1' | 'v2';
  /** systemd is PID 1 and manages cgroups. */
  readonly isSystemd: boolean;
  /**
   * IPv4 addresses of interfaces that are up, the default route's first; none of 127.0.0.0/8, and none that is
   * link-local.
   */
  readonly addresses: readonly HostAddress[];
  /** Address of the node at its last start: what it keeps while no network is there. */
  readonly lastAddress?: string;
  /** Address of the default gateway, when there is a default route. */
  readonly defaultGateway?: string;
  /** Numeric ids of the `etcd` user when it exists. */
  readonly etcdUser?: { readonly uid: number; readonly gid: number };
  /** Nameservers that kubelet should hand to pods: a file without loopback resolvers, and how many it has. */
  readonly resolvConf: { readonly path: string; readonly nameservers: readonly string[] };
  /** nft is on the host and is 1.0.1 or newer. */
  readonly hasNftables: boolean;
  readonly hasIptables: boolean;
  /** A child may be given a negative oom_score_adj (design §8). */
  readonly allowsNegativeOomScore: boolean;
  /** conntrack sysctls can be written (false in a network namespace). */
  readonly allowsConntrackSysctls: boolean;
  readonly swapBytes: number;
}

export interface HostAddress {
  readonly interface: string;
  readonly address: string;
  /** 0 to 32. */
  readonly prefix: number;
}
