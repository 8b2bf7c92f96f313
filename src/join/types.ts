/** What a token lets its bearer become. */
export type JoinRole = 'worker' | 'controller';

/** The one string that makes a machine a member (design §4). */
export interface JoinToken {
  readonly role: JoinRole;
  /** Of the bootstrap-token Secret: `[a-z0-9]{6}`. */
  readonly id: string;
  /** `[a-z0-9]{16}`; never in a log, an error or a plan. */
  readonly secret: string;
  /** SHA-256 of the DER SubjectPublicKeyInfo of the cluster's CA, base64url. */
  readonly caPin: string;
  /** `host:port` of the gateways, in the order in which they are tried; at least one. */
  readonly servers: readonly string[];
}

/** What a machine says about itself when it joins and each time it asks for the document again. */
export interface JoinRequest {
  readonly nodeName: string;
  /** /etc/machine-id, 32 hex digits. */
  readonly machineId: string;
  /** /proc/sys/kernel/random/boot_id: two living machines with one identity differ here. */
  readonly bootId: string;
  readonly version: string;
  readonly arch: 'amd64' | 'arm64';
  /** IPv4 addresses of its interfaces, the node's own first. */
  readonly addresses: readonly string[];
}

/** Where a node is, as the controller sees it. */
export interface NodeSite {
  /** A label value: `main` where no address translation lies between, else `nat-203.0.113.7`. */
  readonly name: string;
  /** The connection came from an address that the node does not have. */
  readonly isBehindNat: boolean;
}

/**
 * Everything a worker needs to plan itself, kept on its disk. No secret in it. The first version; a reader ignores
 * fields that it does not know and refuses another `version`.
 */
export interface JoinDocument {
  readonly version: 1;
  /** PEM of the cluster's CA; its SPKI matches the token's pin. */
  readonly ca: string;
  /** `host:port` of kube-apiservers, as configured (never forgotten, whatever the API says later). */
  readonly apiServers: readonly string[];
  /** `host:port` of gateways (9443). */
  readonly gateways: readonly string[];
  /** A ClusterConfig document without what concerns one machine only; read by config/, strictly. */
  readonly config: unknown;
  readonly kubernetesVersion: string;
  readonly site: NodeSite;
  /** Manifest digests of what the controllers' store has for this node's architecture. */
  readonly artifacts: readonly OfferedArtifact[];
}

export interface OfferedArtifact {
  /** `kubernetes 1.37.1` or an image reference. */
  readonly name: string;
  /** Repository below /v2/: `mini-k8s/kubernetes`, `coredns/coredns`. */
  readonly repository: string;
  /** `sha256:…` of the manifest. */
  readonly digest: string;
}
