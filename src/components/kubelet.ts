import { executableArtifact } from '../artifacts/catalog.ts';
import { renderFlags } from '../base/flags.ts';
import { nthAddress, parseCidr } from '../base/ip.ts';
import { layerFrom, mergeLayers } from '../config/layers.ts';
import type { Paths } from '../config/paths.ts';
import { usesSystemdCgroups } from './containerd.ts';
import {
  type ClientIdentity,
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
  const identity = context.membership === undefined ? issuedIdentity(context) : {};
  const file = configFile(`${paths.etcDir}/kubelet.json`, withOverrides(context));
  const labels = Object.entries(config.spec.node.labels).map(([key, value]) => `${key}=${value}`);
  return {
    artifacts: [
      executableArtifact('kubernetes', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['kubelet'],
      }),
    ],
    ...(identity.certificate === undefined ? {} : { certificates: [identity.certificate] }),
    files: [...(identity.kubeconfig === undefined ? [] : [identity.kubeconfig]), file],
    directories: [
      { path: paths.kubeletDir, mode: 0o750, uid: 0, gid: 0 },
      { path: paths.staticPodDir, mode: 0o700, uid: 0, gid: 0 },
    ],
    process: {
      name: 'kubelet',
      executable: `${paths.binDir}/kubelet`,
      args: renderFlags({
        'bootstrap-kubeconfig': needsBootstrap(context)
          ? bootstrapKubeconfigPath(paths)
          : undefined,
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
      // The API too: a kubelet that starts without it logs errors and registers seconds later. On a worker that is
      // the balancer, which is there without any network.
      dependsOn: ['containerd', context.apiComponent],
      readiness: { type: 'http', url: `http://127.0.0.1:${ports.kubeletHealthz}/healthz` },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.aroundApi,
      limits: { oomScoreAdj: -999 },
    },
  };
}

/** On a controller mini-k8s signs the kubelet's certificate itself. */
function issuedIdentity(context: PlanContext): Partial<ClientIdentity> {
  return clientIdentity(context, {
    name: 'kubelet',
    commonName: `system:node:${context.nodeName}`,
    organizations: ['system:nodes'],
  });
}

/**
 * On a worker the kubelet asks for its certificate, with a token, once. Without the flag it starts with an expired
 * certificate too, such as under a wrong clock, and runs its static pods.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
 */
function needsBootstrap({ membership }: PlanContext): boolean {
  return membership !== undefined && !membership.hasCertificate;
}

/** Written when a node joins, removed when the kubelet has its certificate: it holds the token. */
export function bootstrapKubeconfigPath(paths: Paths): string {
  return `${paths.etcDir}/kubelet-bootstrap.kubeconfig`;
}

/** Certificate and key in one file, as the kubelet keeps them: a link to the newest. */
export function kubeletClientCertificate(paths: Paths): string {
  return `${paths.kubeletDir}/pki/kubelet-client-current.pem`;
}

/** The user's fields over ours, mappings key by key. */
function withOverrides(context: PlanContext): unknown {
  const layers = [kubeletConfiguration(context), context.config.spec.kubelet];
  return mergeLayers(layers.map((layer) => layerFrom(layer, 'kubelet'))).document;
}

function kubeletConfiguration(context: PlanContext): Readonly<Record<string, unknown>> {
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
    ...(config.spec.node.taints.length === 0
      ? {}
      : { registerWithTaints: config.spec.node.taints.map(parseTaint) }),
    resolvConf: context.host.resolvConf.path,
    staticPodPath: paths.staticPodDir,
    // The default is in /usr, which may be read-only and is not ours.
    volumePluginDir: volumePluginDir(paths),
    ...(config.spec.tuning === 'small' ? smallSettings : {}),
  };
}

/** `key=value:Effect` or `key:Effect`; the configuration was validated. */
function parseTaint(text: string) {
  const colon = text.lastIndexOf(':');
  const [key = '', value] = text.slice(0, colon).split('=');
  return { key, ...(value === undefined ? {} : { value }), effect: text.slice(colon + 1) };
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
