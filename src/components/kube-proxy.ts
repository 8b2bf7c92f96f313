import { executableArtifact } from '../artifacts/catalog.ts';
import { renderFlags } from '../base/flags.ts';
import {
  clientIdentity,
  configFile,
  goEnvironment,
  kubeconfigPath,
  membershipComponent,
  ports,
  stopTimeouts,
} from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * kube-proxy as a host process: no image, no shim.
 * @see https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
 */
export function planKubeProxy(context: PlanContext): ComponentPlan {
  const { paths } = context;
  // A worker's kube-proxy is the node: it has no other certificate, and the kubelet renews that one.
  const identity =
    context.membership === undefined
      ? clientIdentity(context, { name: 'kube-proxy', commonName: 'system:kube-proxy' })
      : undefined;
  const file = configFile(`${paths.etcDir}/kube-proxy.json`, proxyConfiguration(context));
  return {
    artifacts: [
      executableArtifact('kubernetes', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['kube-proxy'],
      }),
    ],
    ...(identity === undefined ? {} : { certificates: [identity.certificate] }),
    files: [...(identity === undefined ? [] : [identity.kubeconfig]), file],
    process: {
      name: 'kube-proxy',
      executable: `${paths.binDir}/kube-proxy`,
      args: renderFlags({ config: file.path }),
      env: goEnvironment(context, 25),
      dependsOn: [context.membership === undefined ? context.apiComponent : membershipComponent],
      // /livez, not /healthz: that one also asks whether the node exists and is not being deleted.
      readiness: { type: 'http', url: `http://127.0.0.1:${ports.kubeProxyHealthz}/livez` },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.aroundApi,
      limits: { oomScoreAdj: -999 },
    },
  };
}

/** nftables where the host has a usable `nft`, else iptables; `spec.network.kubeProxy.mode` overrules (design §11.12). */
export function kubeProxyMode(
  context: Pick<PlanContext, 'config' | 'host'>,
): 'nftables' | 'iptables' {
  const { mode } = context.config.spec.network.kubeProxy;
  if (mode !== 'auto') return mode;
  return context.host.hasNftables ? 'nftables' : 'iptables';
}

function proxyConfiguration(context: PlanContext): unknown {
  const { config, host, paths } = context;
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    bindAddress: '0.0.0.0',
    clientConnection: {
      kubeconfig: kubeconfigPath(
        paths,
        context.membership === undefined ? 'kube-proxy' : 'kubelet',
      ),
    },
    clusterCIDR: config.spec.network.podCIDR,
    // In a network namespace these sysctls are the host's: kube-proxy would exit over them (design §8).
    conntrack: host.allowsConntrackSysctls
      ? {}
      : { maxPerCore: 0, min: 0, tcpCloseWaitTimeout: '0s', tcpEstablishedTimeout: '0s' },
    healthzBindAddress: `127.0.0.1:${ports.kubeProxyHealthz}`,
    hostnameOverride: context.nodeName,
    metricsBindAddress: `127.0.0.1:${ports.kubeProxyMetrics}`,
    mode: kubeProxyMode(context),
    // NodePorts answer on the primary address, not on localhost and every bridge (design §11.12).
    nodePortAddresses: ['primary'],
  };
}
