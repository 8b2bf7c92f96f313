import { type RegistryFilesOptions, registryFiles } from './containerd-registries.ts';
import { kubeletClientCertificate } from './kubelet.ts';
import { pkiFiles } from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * Where containerd takes images from. On workers the controllers are asked first; that file waits for the kubelet's
 * certificate: without it every pull would fail.
 */
export function planRegistries(context: PlanContext): ComponentPlan {
  const { membership, config } = context;
  const { registries } = config.spec;
  if (membership === undefined) return registryFiles({ registries, gateways: undefined });
  const gateways: RegistryFilesOptions['gateways'] = {
    servers: membership.gateways,
    caFile: pkiFiles(context.paths).ca.certFile,
    clientCertFile: kubeletClientCertificate(context.paths),
    arch: context.host.arch,
  };
  const { files, credentials } = registryFiles({ registries, gateways });
  return { memberFiles: files, credentials };
}
