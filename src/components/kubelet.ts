import { executableArtifact } from '../artifacts/catalog.ts';
import { renderFlags } from '../base/flags.ts';
import { nthAddress, parseCidr } from '../base/ip.ts';
import { usesSystemdCgroups } from './containerd.ts';
import {
  clientIdentity,
  configFile,
  goEnvironment,
  kubeconfigPath,
  pkiFiles,
  ports,
  stopTimeouts,
  strongCipherSuites,
  volumePluginDir,
} from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * kubelet. Flags are few: all else is in its configuration file.
 * @see https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
 */
export function planKubelet(context: PlanContext): ComponentPlan {
  const { paths, config } = context;
  const identity = clientIdentity(context, {
    name: 'kubelet',
    commonName: `system:node:${context.nodeName}`,
    organizations: ['system:nodes'],
  });
  const file = configFile(`${paths.etcDir}/kubelet.json`, kubeletConfiguration(context));
  const labels = Object.entries(config.spec.node.labels).map(([key, value]) => `${key}=${value}`);
  return {
    artifacts: [
      executableArtifact('kubernetes', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['kubelet'],
      }),
    ],
    certificates: [identity.certificate],
    files: [identity.kubeconfig, file],
    directories: [
      { path: paths.kubeletDir, mode: 0o750, uid: 0, gid: 0 },
      { path: paths.staticPodDir, mode: 0o700, uid: 0, gid: 0 },
    ],
    process: {
      name: 'kubelet',
      executable: `${paths.binDir}/kubelet`,
      args: renderFlags({
        config: file.path,
        // CIS 4.2.7 wants the flag away where it says nothing new.
        'hostname-override':
          context.nodeName === context.host.hostname ? undefined : context.nodeName,
        // Statistics of containers every 10 s: cheap enough, and what `kubectl top` shows (design §11.13).
        'housekeeping-interval': '10s',
        kubeconfig: kubeconfigPath(paths, 'kubelet'),
        'node-ip': context.nodeAddress,
        'node-labels': labels,
        'root-dir': paths.kubeletDir,
      }),
      env: goEnvironment(context, 25),
      // The API too: a kubelet that starts without it logs errors and registers seconds later.
      dependsOn: ['containerd', 'kube-apiserver'],
      readiness: { type: 'http', url: `http://127.0.0.1:${ports.kubeletHealthz}/healthz` },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.aroundApi,
      limits: { oomScoreAdj: -999 },
    },
  };
}

function kubeletConfiguration(context: PlanContext): unknown {
  const { config, paths } = context;
  const services = parseCidr(config.spec.network.serviceCIDR);
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    ...securitySettings(context),
    cgroupDriver: usesSystemdCgroups(context) ? 'systemd' : 'cgroupfs',
    clusterDNS: services === undefined ? [] : [nthAddress(services, 10)],
    clusterDomain: config.spec.network.clusterDomain,
    containerRuntimeEndpoint: `unix://${paths.containerdSocket}`,
    // Still a warning of kubelet's own, but no reason for us not to run (design §8).
    failCgroupV1: false,
    failSwapOn: false,
    healthzBindAddress: '127.0.0.1',
    healthzPort: ports.kubeletHealthz,
    port: ports.kubelet,
    resolvConf: context.host.resolvConf.path,
    staticPodPath: paths.staticPodDir,
    // The default is in /usr, which may be read-only and is not ours.
    volumePluginDir: volumePluginDir(paths),
    ...(config.spec.tuning === 'small' ? smallSettings : {}),
  };
}

/** CIS 4.2. */
function securitySettings(context: PlanContext) {
  return {
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true, cacheTTL: '2m0s' },
      x509: { clientCAFile: pkiFiles(context.paths).ca.certFile },
    },
    authorization: { mode: 'Webhook' },
    makeIPTablesUtilChains: true,
    podPidsLimit: 4096,
    readOnlyPort: 0,
    rotateCertificates: true,
    seccompDefault: true,
    serverTLSBootstrap: true,
    streamingConnectionIdleTimeout: '4h0m0s',
    tlsCipherSuites: strongCipherSuites,
    tlsMinVersion: 'VersionTLS12',
  };
}

/**
 * Bounded logs, bounded events, and eviction before the kernel's OOM killer: a threshold for memory alone
 * would zero the other defaults, hence `mergeDefaultEvictionSettings`.
 */
const smallSettings = {
  containerLogMaxFiles: 2,
  containerLogMaxSize: '5Mi',
  enableDebugFlagsHandler: false,
  enableProfilingHandler: false,
  eventBurst: 20,
  eventRecordQPS: 10,
  evictionHard: { 'memory.available': '50Mi' },
  imageMaximumGCAge: '0s',
  maxPods: 50,
  mergeDefaultEvictionSettings: true,
  // The lease is the heartbeat; this only looks for changes worth telling.
  nodeStatusUpdateFrequency: '20s',
  volumeStatsAggPeriod: '10m0s',
};
