import { type GatewayMirrors, registryFiles } from './containerd-registries.ts';
import { kubeletClientCertificate } from './kubelet.ts';
import { pair, pkiFiles } from './layout.ts';
import type { ComponentPlan, Membership, PlanContext } from './types.ts';

/**
 * Where containerd takes images from: the controllers are asked first. What came in a bundle is there also for pods that
 * pull at each start. On workers that file waits for the kubelet's certificate: without it every pull would fail.
 */
export function planRegistries(context: PlanContext): ComponentPlan {
  const { membership, config } = context;
  const { registries } = config.spec;
  if (membership === undefined) return registryFiles({ registries, gateways: itself(context) });
  const { files, credentials } = registryFiles({
    registries,
    gateways: controllers(context, membership),
  });
  return { memberFiles: files, credentials };
}

/** A controller is a mirror for itself too: as node, with the certificate of its kubelet. */
function itself(context: PlanContext): GatewayMirrors {
  return {
    servers: [`127.0.0.1:${context.config.spec.api.gatewayPort}`],
    caFile: pkiFiles(context.paths).ca.certFile,
    client: pair(context.paths.pkiDir, 'kubelet-client'),
    arch: context.host.arch,
  };
}

function controllers(context: PlanContext, membership: Membership): GatewayMirrors {
  return {
    servers: membership.gateways,
    caFile: pkiFiles(context.paths).ca.certFile,
    client: { certFile: kubeletClientCertificate(context.paths) },
    arch: context.host.arch,
  };
}
