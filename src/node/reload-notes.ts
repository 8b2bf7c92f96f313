/**
 * A kubelet gives its node labels and taints when it registers it, and no more after that. A controller labels its own
 * node itself.
 */
export const registrationNotes = {
  labels: {
    'spec.node.labels': 'are given to a node when it registers: now by mini-k8s kubectl label node',
  },
  taints: {
    'spec.node.taints': 'are given to a node when it registers: now by mini-k8s kubectl taint node',
  },
} as const;
