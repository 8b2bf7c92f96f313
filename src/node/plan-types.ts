import type { Architecture, ArtifactSpec, ImageArtifact } from '../artifacts/types.ts';
import type { FileSpec } from '../base/files.ts';
import type { CredentialSpec, DirectorySpec } from '../components/types.ts';
import type { HostSetting } from '../host/types.ts';
import type { PkiPlan } from '../pki/types.ts';
import type { ManifestStack } from '../stacks/types.ts';
import type { ProcessSpec } from '../supervisor/types.ts';

/** What a node is in the cluster. */
export type NodeRole = 'controller' | 'worker';

/** The parts of a worker that are no processes. */
export interface WorkerPlan {
  /** The balancer on loopback, and the controllers that it must never forget: `host:port`. */
  readonly apiEndpoint: { readonly port: number; readonly servers: readonly string[] };
  /** `host:port` of the controllers' gateways, to which the tunnel's agent keeps a session each. */
  readonly gateways: readonly string[];
  readonly kubeletPort: number;
  /** Address of the API inside the cluster: what pods know it by. */
  readonly apiServiceAddress: string;
  /** Written when the kubelet has its certificate, and away while it has none. */
  readonly memberFiles: readonly FileSpec[];
}

/**
 * Everything a node will do, as one serialisable value: one field per engine. It holds no key material; a file
 * that needs a secret refers to it by name.
 */
export interface NodePlan {
  readonly role: NodeRole;
  readonly nodeName: string;
  readonly nodeAddress: string;
  readonly runsWorkloads: boolean;
  /** Of the machine: what it can run. */
  readonly arch: Architecture;
  readonly artifacts: readonly ArtifactSpec[];
  readonly images: readonly ImageArtifact[];
  /**
   * On controllers: what workers will ask for and this node does not use itself. Kept where a source has it, as is the
   * rest of a bundle: workers may be of another architecture. Paths in it mean nothing.
   */
  readonly servedArtifacts?: readonly ArtifactSpec[];
  readonly hostSettings: readonly HostSetting[];
  readonly pki: PkiPlan;
  readonly directories: readonly DirectorySpec[];
  readonly files: readonly FileSpec[];
  /** What files refer to that the user keeps in files of its own. */
  readonly credentials: readonly CredentialSpec[];
  readonly processes: readonly ProcessSpec[];
  /** kube-apiserver's way to nodes and pods; on controllers. */
  readonly tunnel?: { readonly socketPath: string; readonly kubeletPort: number };
  /** The port of everything that workers ask for besides the API; on controllers. */
  readonly gateway?: { readonly port: number; readonly kubeletPort: number };
  /** What a worker keeps up towards its controllers. */
  readonly worker?: WorkerPlan;
  /** Written once the node has its pod network; left out with a CNI of the user's own. */
  readonly cniConfigFile?: string;
  readonly stacks: readonly ManifestStack[];
  /** Where manifests of a bundle go, and where it is remembered; on controllers, which apply them. */
  readonly unpackedStacks?: { readonly manifestsDir: string; readonly recordFile: string };
}
