import type { BlobProblem } from '../artifacts/store.ts';
import type { Clock } from '../base/time.ts';
import type { HostFacts } from '../config/host-facts.ts';
import type { Paths } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { HostSetting } from '../host/types.ts';
import type { PortUse } from './ports.ts';

/** The machine as a node would have it, or has it: what probes need to know besides what they look at themselves. */
export interface Machine {
  readonly config: ClusterConfig;
  readonly host: HostFacts;
  readonly paths: Paths;
  /** etcd and the API server run here. */
  readonly hasControlPlane: boolean;
  readonly runsWorkloads: boolean;
  readonly ports: readonly PortUse[];
  /** How kube-proxy works; undefined where another program does its work. */
  readonly serviceMode?: 'nftables' | 'iptables';
  readonly hostSettings: readonly HostSetting[];
  readonly authorities: readonly CertificateFile[];
  readonly certificates: readonly CertificateFile[];
}

/** What besides is known when a person asks, and not at a start. */
export interface Examination extends Machine {
  readonly isRoot: boolean;
  /** A node of ours runs here now. */
  readonly isRunning: boolean;
  /** A node of ours is, or was, on this machine. */
  readonly isNode: boolean;
  /** The supervisor and the components that run: their ports are taken by right. */
  readonly ownPids: ReadonlySet<number>;
  readonly clock: Clock;
  /** Where a start records what it changes on the machine. */
  readonly hostRecordFile: string;
  /** When this program was released: no clock that is right says less. */
  readonly releasedAtMs: number;
}

export interface CertificateFile {
  readonly name: string;
  readonly certFile: string;
}

/**
 * What a probe has to say. What fails, prevents something, and says what; what only might matter is a warning. A fix is
 * one action.
 */
export type Verdict =
  | { readonly state: 'ok'; readonly what: string }
  | {
      readonly state: 'warn';
      readonly what: string;
      readonly why: string;
      readonly fix?: string;
      readonly repair?: Repair;
    }
  | {
      readonly state: 'fail';
      /** As it continues "cannot …": `start etcd`. */
      readonly prevents: string;
      readonly why: string;
      readonly fix?: string;
      readonly repair?: Repair;
    }
  /** Not looked at: without root, or without the tool for it. */
  | { readonly state: 'skipped'; readonly why: string };

/** Something that `doctor --repair` does: safe, and nothing when done twice. */
export type Repair =
  | { readonly type: 'discard-blobs'; readonly problems: readonly BlobProblem[] }
  | { readonly type: 'prune-store' }
  | { readonly type: 'file-mode'; readonly path: string; readonly mode: number }
  | { readonly type: 'sysctl'; readonly key: string; readonly value: string };

/** Reads what it needs, changes nothing that stays, and judges. */
export type Examine<T> = (machine: T, signal: AbortSignal) => Promise<readonly Verdict[]>;
