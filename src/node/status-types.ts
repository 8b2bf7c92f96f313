import type { ApiEndpointStatus } from '../api-endpoint/types.ts';
import type { CertificateStatus } from '../pki/types.ts';
import type { StackStatus } from '../stacks/types.ts';
import type { ComponentStatus } from '../supervisor/types.ts';
import type { TunnelAgentStatus, TunnelNodeStatus, TunnelStatus } from '../tunnel/types.ts';
import type { Readiness } from './cluster-readiness.ts';

/** What `mini-k8s status -o json` prints. */
export interface NodeStatus {
  readonly version: string;
  readonly kubernetesVersion: string;
  readonly node: {
    readonly name: string;
    readonly role: string;
    readonly address: string;
    readonly isReady: boolean;
    readonly message: string;
  };
  readonly supervisor: {
    readonly pid: number;
    /** ISO 8601. */
    readonly startedAt: string;
    readonly anonymousBytes?: number;
    readonly dataDir: string;
    /** `upstream` or `source`, as the components in use were made. */
    readonly builtFrom: string;
    /** Left out where kube-proxy is switched off or there are no workloads. */
    readonly kubeProxyMode?: 'nftables' | 'iptables';
  };
  readonly components: readonly ComponentStatus[];
  readonly addons: readonly Readiness[];
  readonly stacks: readonly StackStatus[];
  readonly certificates: readonly CertificateStatus[];
  /** On controllers. */
  readonly tunnel?: ControllerTunnelStatus;
  /** On workers: the tunnel's agent, and the balancer over the controllers. */
  readonly agent?: TunnelAgentStatus;
  readonly apiEndpoint?: ApiEndpointStatus;
}

/** What the tunnel knows, and where each node is. */
export interface ControllerTunnelStatus extends Omit<TunnelStatus, 'nodes'> {
  readonly nodes: readonly (TunnelNodeStatus & {
    /** `main`, or one name for all nodes behind one address translation; left out while it is not known. */
    readonly site?: string;
  })[];
}
