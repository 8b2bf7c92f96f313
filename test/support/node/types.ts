/** One GiB, the memory of a test node. */
export const GIBIBYTE = 1024 ** 3;

/** A directory or file of the host that the node sees. */
export interface BindMount {
  /** Absolute path on the host. */
  readonly source: string;
  /** Absolute path in the node; made when it is not there. */
  readonly target: string;
  /** Default false: the node cannot change the host's files. */
  readonly writable?: boolean;
}

/** What a node is plugged into. The host is `.1` of the subnet. */
export interface NodeNetworkOptions {
  /** A site's bridge; default: a subnet of the node's own. */
  readonly site?: Site;
  /** Default: the site's next free address. */
  readonly address?: string;
  /** Default true. Without one the node boots as a machine whose router is off. */
  readonly wantsDefaultRoute?: boolean;
  /** Lets the node reach the host's networks: forwarding and masquerade, undone by `destroy`. Default false. */
  readonly masquerade?: boolean;
  /** `nameserver` lines of the node's /etc/resolv.conf. Default none: lookups fail at once. */
  readonly nameservers?: readonly string[];
}

export interface NodeOptions {
  /** `[a-z0-9-]`, at most 40 characters; unique on the machine. It is the node's hostname. */
  readonly name: string;
  /** A cpuset of that many CPUs, rounded up, and a quota when it is no whole number. Default 1; `all` = no limit. */
  readonly cpus?: number | 'all';
  /** Limit of memory including page cache, shown as MemTotal. Default 1 GiB; `all` = no limit. */
  readonly memoryBytes?: number | 'all';
  /** Apparent size of the sparse ext4 file. Default 12 GiB. */
  readonly diskBytes?: number;
  /** Host directory for the disk file and logs. Default below /var/tmp/mini-k8s-nodes, removed by `destroy`. An existing disk there is used again. */
  readonly directory?: string;
  readonly network?: NodeNetworkOptions;
  readonly binds?: readonly BindMount[];
  /** PID 1 of the node. Default: a shell that reaps children and waits. */
  readonly initCommand?: readonly string[];
  /** The node outlives this process; `cleanStaleNodes` leaves it alone. Default false. */
  readonly isPersistent?: boolean;
}

export interface CommandOptions {
  readonly input?: string | Uint8Array;
  /** Added to a plain PATH, HOME and LANG; nothing of the test's own environment goes in. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 60 s; then the command and its children are killed and the call throws. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

export interface CommandResult {
  /** 128 + signal number when a signal ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Output kept, in bytes from the end. Default 256 KiB. */
  readonly keepOutputBytes?: number;
}

/** A command that runs in the node until it ends or is killed. */
export interface NodeProcess {
  /** PID as the host sees it. */
  readonly pid: number;
  readonly exited: Promise<number>;
  /** Exit code once it has ended. */
  readonly exitCode: number | undefined;
  /** The last bytes of stdout and stderr, in the order of arrival. */
  output(): string;
  /** Signals the command itself, not its children. */
  kill(signal?: NodeJS.Signals): void;
}

export interface ProcessInfo {
  /** PID as the host sees it. */
  readonly pid: number;
  readonly name: string;
  readonly commandLine: readonly string[];
  readonly anonymousBytes: number;
}

export interface DiskCounters {
  readonly readBytes: number;
  readonly writtenBytes: number;
}

export interface MemoryCounters {
  /** Everything charged to the node, page cache included. */
  readonly usageBytes: number;
  readonly pageCacheBytes: number;
  readonly oomKills: number;
}

/** How to get into a node. */
export interface NodeEntrance {
  readonly name: string;
  /** PID 1 of the node, as the host sees it. */
  readonly pid: number;
  /** `cgroup.procs` of the node's groups: a command joins them first, or no limit would hold for it. */
  readonly joinFiles: readonly string[];
}

export interface TestNode extends AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly gateway: string;
  /** PID 1 of the node, as the host sees it. */
  readonly pid: number;
  /** Directory on the host: disk.img, boot.log. */
  readonly directory: string;
  /** For a program that enters the node on its own (`enterCommand`). */
  readonly entrance: NodeEntrance;
  /** A command in the background must not keep stdout or stderr: the call waits for their end. */
  exec(argv: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Like `exec`; throws with the output unless the exit code is 0. Returns stdout. */
  run(argv: readonly string[], options?: CommandOptions): Promise<string>;
  spawn(argv: readonly string[], options?: SpawnOptions): NodeProcess;
  readFile(file: string): Promise<string>;
  /** Parent directories are made. */
  writeFile(file: string, content: string | Uint8Array, mode?: number): Promise<void>;
  exists(file: string): Promise<boolean>;
  processes(): Promise<readonly ProcessInfo[]>;
  /** Sum of `Anonymous` over all processes of the node and its containers. */
  anonymousBytes(): Promise<number>;
  memory(): Promise<MemoryCounters>;
  /** CPU time used since creation, in milliseconds. */
  cpuUsageMs(): Promise<number>;
  /** Bytes read from and written to the node's disk (after its page cache). */
  disk(): Promise<DiskCounters>;
  /** Writes dirty pages, then drops the page cache of the whole machine. */
  dropCaches(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** A sparse copy of the disk, taken with all processes frozen; what was not yet written is missing, as in a power cut. */
  snapshotDisk(target: string): Promise<void>;
  /** Ends the node as a power cut does: dirty pages are lost. The directory stays; `createNode` with it boots again. */
  cutPower(): Promise<void>;
  /** Removes everything the node put on the machine. `keepDirectory`: a later `createNode` boots from the same disk. */
  destroy(options?: { readonly keepDirectory?: boolean }): Promise<void>;
}

/** An Ethernet segment: a bridge with a subnet of its own; the host, or a router, is its gateway at `.1`. */
export interface Site extends AsyncDisposable {
  readonly name: string;
  readonly bridge: string;
  /** File of the network namespace that the bridge is in; absent: the host's. */
  readonly namespace?: string;
  /** `198.18.7.0/24` */
  readonly subnet: string;
  readonly gateway: string;
  /** The next address that no node of this site has. */
  nextAddress(): string;
  destroy(): Promise<void>;
}

/** A site behind a router that translates addresses and lets nothing in. */
export interface NatSite extends Site {
  readonly namespace: string;
  /** The router's address on the upstream site: where connections of this site's nodes seem to come from. */
  readonly publicAddress: string;
  /** Drops everything between the site and its upstream without a word: nobody gets a FIN or a RST. */
  cutLink(): Promise<void>;
  /** Drops what is neither to nor from this address beyond the router: a firewall that lets only a proxy through. */
  allowOnly(address: string): Promise<void>;
  /** Ends a cut, any loss and any firewall. */
  restoreLink(): Promise<void>;
  /** Drops this part of the packets, each way: 0.02 = 2 %; `cutLink` for all of them. */
  setLoss(fraction: number): Promise<void>;
  /** As a router does that was switched off and on: it no longer knows any connection. */
  forgetConnections(): Promise<void>;
}
