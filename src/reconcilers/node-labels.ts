import type { KubeClient } from '../kube-client/types.ts';
import type { NodeObserver } from './local-node.ts';
import { fieldManager } from './resources.ts';

/** What `kubectl get nodes` shows as the role; kubelet may not set it itself. */
export const controlPlaneLabels: Readonly<Record<string, string>> = {
  'node-role.kubernetes.io/control-plane': '',
};

export interface NodeLabelsOptions {
  readonly client: KubeClient;
  readonly labels: Readonly<Record<string, string>>;
}

/** Sets labels on the Node and keeps them, by server-side apply: others' labels stay. */
export function createNodeLabels(options: NodeLabelsOptions): NodeObserver {
  const { client, labels } = options;
  return {
    name: 'node labels',
    reconcile: async (node, signal) => {
      if (node === undefined) return;
      const present = node.metadata.labels ?? {};
      if (Object.entries(labels).every(([key, value]) => present[key] === value)) return;
      const { name, uid } = node.metadata;
      await client.apply(
        {
          apiVersion: 'v1',
          kind: 'Node',
          // With the uid, apply refuses to create a Node that was deleted meanwhile.
          metadata: { name, labels, ...(uid === undefined ? {} : { uid }) },
        },
        { fieldManager, force: true, signal },
      );
    },
  };
}
