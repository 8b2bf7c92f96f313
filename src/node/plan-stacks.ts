import { upstreamDns } from '../addons/coredns.ts';
import { addons } from '../addons/index.ts';
import { metricsProxyPassword } from '../addons/metrics-server.ts';
import { imageReference } from '../artifacts/catalog.ts';
import type { FileSpec } from '../base/files.ts';
import { gatewayServerName } from '../base/gateway-names.ts';
import { nthAddress, parseCidr } from '../base/ip.ts';
import type { DirectorySpec, PlanContext } from '../components/types.ts';
import type { SecretSpec } from '../pki/types.ts';
import type { ManifestStack } from '../stacks/types.ts';

/** The packaged addons of the cluster; applied by controllers. */
export function planStacks(context: PlanContext): ManifestStack[] {
  const services = parseCidr(context.config.spec.network.serviceCIDR);
  if (services === undefined) throw new Error('the configuration was validated');
  const addonContext = {
    config: context.config,
    images: {
      coredns: imageReference('coredns'),
      kubeRouter: imageReference('kube-router'),
      metricsServer: imageReference('metrics-server'),
    },
    apiServiceAddress: nthAddress(services, 1),
    clusterDns: nthAddress(services, 10),
    dnsDirectory: dnsDirectory(context),
    runsWorkloads: context.runsWorkloads,
    gateway: {
      serverName: gatewayServerName,
      hosts: gatewayHosts(context),
      port: context.config.spec.api.gatewayPort,
    },
  };
  return addons
    .filter((addon) => addon.isEnabled(context.config))
    .map((addon) => addon.planStack(addonContext));
}

/**
 * Where a pod finds this controller: nearby it is its own address (many routers do not lead an external one back in),
 * and elsewhere the external one.
 */
function gatewayHosts({ config, nodeAddress, runsWorkloads }: PlanContext): string[] {
  const { externalAddress } = config.spec.api;
  if (externalAddress === '') return [nodeAddress];
  return runsWorkloads ? [...new Set([nodeAddress, externalAddress])] : [externalAddress];
}

/** What `planStacks` refers to, to be filled in by `fillStackSecrets`; controllers have it. */
export function planStackSecrets({ config, paths, membership }: PlanContext): SecretSpec[] {
  if (!config.spec.addons.metricsServer.enabled || membership !== undefined) return [];
  const file = `${paths.pkiDir}/metrics-proxy.password`;
  return [{ name: metricsProxyPassword, file, bytes: 32 }];
}

/** What a CoreDNS on this node finds here. It runs as a user of its own. */
export function planDns(context: PlanContext): {
  readonly directories: readonly DirectorySpec[];
  readonly files: readonly FileSpec[];
} {
  const isWanted = context.runsWorkloads && context.config.spec.addons.coredns.enabled;
  if (!isWanted) return { directories: [], files: [] };
  const path = dnsDirectory(context);
  return {
    directories: [{ path, mode: 0o755, uid: 0, gid: 0 }],
    files: [upstreamDns(path, context.host.resolvConf.nameservers)],
  };
}

function dnsDirectory({ paths }: PlanContext): string {
  return `${paths.runDir}/dns`;
}
