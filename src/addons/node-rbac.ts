import { clusterRoleBinding } from './manifest.ts';
import type { Addon } from './types.ts';

/** What nodes and the API server may do to each other. Not to be switched off: no cluster works without it. */
export const nodeRbac: Addon = {
  name: 'node-rbac',
  isEnabled: () => true,
  planStack: () => ({
    name: 'node-rbac',
    objects: [
      // kube-apiserver's client certificate towards kubelets: logs, exec, metrics.
      clusterRoleBinding({
        name: 'mini-k8s:kubelet-api-admin',
        role: 'system:kubelet-api-admin',
        subject: { kind: 'Group', name: 'mini-k8s:kubelet-clients' },
      }),
      // A kubelet renews its own client certificate.
      clusterRoleBinding({
        name: 'mini-k8s:node-autoapprove-certificate-rotation',
        role: 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
        subject: { kind: 'Group', name: 'system:nodes' },
      }),
    ],
  }),
};
