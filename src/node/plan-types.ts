import type { ArtifactSpec, ImageArtifact } from '../artifacts/types.ts';
import type { FileSpec } from '../base/files.ts';
import type { DirectorySpec } from '../components/types.ts';
import type { HostSetting } from '../host/types.ts';
import type { PkiPlan } from '../pki/types.ts';
import type { ManifestStack } from '../stacks/types.ts';
import type { ProcessSpec } from '../supervisor/types.ts';

/** What a node is in the cluster. */
export type NodeRole = 'controller' | 'worker';

/**
 * Everything a node will do, as one serialisable value: one field per engine. It holds no key material; a file
 * that needs a secret refers to it by name.
 */
export interface NodePlan {
  readonly role: NodeRole;
  readonly nodeName: string;
  readonly nodeAddress: string;
  readonly runsWorkloads: boolean;
  readonly artifacts: readonly ArtifactSpec[];
  readonly images: readonly ImageArtifact[];
  readonly hostSettings: readonly HostSetting[];
  readonly pki: PkiPlan;
  readonly directories: readonly DirectorySpec[];
  readonly files: readonly FileSpec[];
  readonly processes: readonly ProcessSpec[];
  /** kube-apiserver's way to nodes and pods. */
  readonly tunnel: { readonly socketPath: string; readonly kubeletPort: number };
  /** Written once the node has its pod network; left out with a CNI of the user's own. */
  readonly cniConfigFile?: string;
  readonly stacks: readonly ManifestStack[];
}
