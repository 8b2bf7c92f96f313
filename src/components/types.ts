import type { ArtifactSpec } from '../artifacts/types.ts';
import type { FileSpec } from '../base/files.ts';
import type { HostFacts } from '../config/host-facts.ts';
import type { Paths } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { AuthoritySpec, CertificateSpec, KeyPairSpec, SecretSpec } from '../pki/types.ts';
import type { ProcessSpec } from '../supervisor/types.ts';

/** Everything a component's description is made from. Plain data: planning reads nothing else. */
export interface PlanContext {
  readonly config: ClusterConfig;
  readonly host: HostFacts;
  readonly paths: Paths;
  /** Kubernetes node name of this machine. */
  readonly nodeName: string;
  /** IPv4 address that this node is reached at. */
  readonly nodeAddress: string;
  /** kubelet and containerd run here too. */
  readonly runsWorkloads: boolean;
  /** Who serves the API on this node's loopback: the API server itself, or the balancer over the controllers. */
  readonly apiComponent: 'kube-apiserver' | 'api-endpoint';
  /** Only on a node that joined a cluster of others. */
  readonly membership?: Membership;
}

/** What a node has from its controllers. Nothing of it is secret. */
export interface Membership {
  /** PEM of the cluster's CA. */
  readonly ca: string;
  /** `host:port` of the controllers' gateways. */
  readonly gateways: readonly string[];
  /** The kubelet has its certificate already: it needs no token, and starts without the API. */
  readonly hasCertificate: boolean;
}

/** What one component needs, by the engine that realises it. */
export interface ComponentPlan {
  readonly artifacts?: readonly ArtifactSpec[];
  readonly authorities?: readonly AuthoritySpec[];
  readonly certificates?: readonly CertificateSpec[];
  readonly keyPairs?: readonly KeyPairSpec[];
  readonly secrets?: readonly SecretSpec[];
  readonly files?: readonly FileSpec[];
  /** On workers: files that name the kubelet's certificate, and do harm while there is none. */
  readonly memberFiles?: readonly FileSpec[];
  /** What the user keeps in files of its own, and our files refer to as `${secret:NAME}`. */
  readonly credentials?: readonly CredentialSpec[];
  /** Directories that must exist, with mode and owner. */
  readonly directories?: readonly DirectorySpec[];
  readonly process?: ProcessSpec;
}

/** A file of the user's with `user:password`, by the name under which other files refer to it. */
export interface CredentialSpec {
  readonly name: string;
  readonly file: string;
}

export interface DirectorySpec {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}
