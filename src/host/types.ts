/** One thing about the machine itself that a node needs; recorded before it is changed, undone by reset. */
export type HostSetting =
  /** A kernel module, best effort: it may be built in, or loading may be forbidden. */
  | { readonly type: 'module'; readonly name: string }
  /** `net.ipv4.ip_forward` = `1`. With `isOptional`, a missing or read-only key is no error. */
  | {
      readonly type: 'sysctl';
      readonly key: string;
      readonly value: string;
      readonly isOptional?: boolean;
    }
  /** A symbolic link, made only where nothing is. */
  | { readonly type: 'link'; readonly path: string; readonly target: string }
  /** Mount propagation that kubelet needs: `mount --make-rshared`. */
  | { readonly type: 'shared-mount'; readonly path: string }
  /**
   * An nftables table of family `ip` that is ours alone, with exactly these chains (what stands between the braces).
   * Skipped where there is no nft or no nf_tables in the kernel.
   */
  | { readonly type: 'nft-table'; readonly name: string; readonly ruleset: string }
  /** A network that cannot be reached, as a route that gives way to any other. Skipped where there is no `ip`. */
  | { readonly type: 'unreachable-route'; readonly destination: string };

/** What became of a setting that a machine may be unable to have. */
export type SettingOutcome =
  | { readonly type: 'changed' | 'unchanged' }
  | { readonly type: 'skipped'; readonly reason: string };

export type HostEvent =
  | { readonly type: 'host-setting-changed'; readonly setting: string }
  | { readonly type: 'host-setting-skipped'; readonly setting: string; readonly reason: string };
