import { clientIdentity } from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/** The people and loops that use the API with full rights: `mini-k8s kubectl`, and mini-k8s itself. */
export function planOperators(context: PlanContext): ComponentPlan {
  const admin = clientIdentity(context, {
    name: 'admin',
    commonName: 'kubernetes-admin',
    organizations: ['system:masters'],
  });
  const self = clientIdentity(context, {
    name: 'mini-k8s',
    commonName: 'mini-k8s',
    organizations: ['system:masters'],
  });
  return {
    certificates: [admin.certificate, self.certificate],
    files: [admin.kubeconfig, self.kubeconfig],
  };
}
