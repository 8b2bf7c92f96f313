import { pkiFiles } from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/** What a worker has instead of authorities: the certificate of the cluster's. */
export function planClusterCa(context: PlanContext): ComponentPlan {
  const { membership } = context;
  if (membership === undefined) return {};
  const path = pkiFiles(context.paths).ca.certFile;
  return { files: [{ path, content: membership.ca, mode: 0o644, uid: 0, gid: 0 }] };
}
