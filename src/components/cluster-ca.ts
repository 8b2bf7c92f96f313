import { registryFiles } from './containerd-registries.ts';
import { kubeletClientCertificate } from './kubelet.ts';
import { pkiFiles } from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * What a worker has instead of authorities: the certificate of the cluster's, and the controllers as mirrors of every
 * registry. The mirrors wait for the kubelet's certificate: without it every pull would fail.
 */
export function planClusterCa(context: PlanContext): ComponentPlan {
  const { membership } = context;
  if (membership === undefined) return {};
  const path = pkiFiles(context.paths).ca.certFile;
  const mirrors = registryFiles({
    gateways: membership.gateways,
    caFile: path,
    clientCertFile: kubeletClientCertificate(context.paths),
    arch: context.host.arch,
  });
  return {
    files: [{ path, content: membership.ca, mode: 0o644, uid: 0, gid: 0 }],
    memberFiles: mirrors,
  };
}
