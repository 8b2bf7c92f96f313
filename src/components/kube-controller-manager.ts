import { executableArtifact } from '../artifacts/catalog.ts';
import { type FlagValue, renderFlags } from '../base/flags.ts';
import {
  clientIdentity,
  goEnvironment,
  kubeconfigPath,
  loopbackServer,
  pair,
  pkiFiles,
  ports,
  stopTimeouts,
  volumePluginDir,
} from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/** The part of the pod network that each node gets: /24 = 254 pods. */
export const nodeCidrPrefix = 24;

/**
 * kube-controller-manager, on loopback.
 * @see https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
 */
export function planKubeControllerManager(context: PlanContext): ComponentPlan {
  const { paths } = context;
  const identity = clientIdentity(context, {
    name: 'kube-controller-manager',
    commonName: 'system:kube-controller-manager',
  });
  return {
    artifacts: [
      executableArtifact('kubernetes', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['kube-controller-manager'],
      }),
    ],
    certificates: [identity.certificate, loopbackServer(context, 'kube-controller-manager')],
    files: [identity.kubeconfig],
    process: {
      name: 'kube-controller-manager',
      executable: `${paths.binDir}/kube-controller-manager`,
      args: renderFlags(flags(context)),
      env: goEnvironment(context, 25),
      dependsOn: ['kube-apiserver'],
      readiness: {
        type: 'https',
        url: `https://127.0.0.1:${ports.controllerManager}/healthz`,
        caFile: pkiFiles(paths).ca.certFile,
      },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.aroundApi,
      limits: { oomScoreAdj: -900 },
    },
  };
}

function flags(context: PlanContext): Record<string, FlagValue> {
  const { paths, config } = context;
  const files = pkiFiles(paths);
  const server = pair(paths.pkiDir, 'kube-controller-manager');
  const { network } = config.spec;
  return {
    'allocate-node-cidrs': true,
    'bind-address': '127.0.0.1',
    'cluster-cidr': network.podCIDR,
    'cluster-name': config.metadata.name,
    'cluster-signing-cert-file': files.ca.certFile,
    'cluster-signing-key-file': files.ca.keyFile,
    controllers: ['*', 'bootstrapsigner', 'tokencleaner'],
    // The default is in /usr, which may be read-only and is not ours.
    'flex-volume-plugin-dir': volumePluginDir(paths),
    kubeconfig: kubeconfigPath(paths, 'kube-controller-manager'),
    // One controller: an election would only write to the disk (design §11.8).
    'leader-elect': false,
    'node-cidr-mask-size': nodeCidrPrefix,
    profiling: false,
    'root-ca-file': files.ca.certFile,
    'secure-port': ports.controllerManager,
    'service-account-private-key-file': files.serviceAccount.privateKeyFile,
    'service-cluster-ip-range': network.serviceCIDR,
    'terminated-pod-gc-threshold': config.spec.tuning === 'small' ? 100 : 12_500,
    'tls-cert-file': server.certFile,
    'tls-min-version': 'VersionTLS12',
    'tls-private-key-file': server.keyFile,
    'use-service-account-credentials': true,
    ...(config.spec.tuning === 'small' ? smallFlags : {}),
  };
}

/**
 * At its first start it makes an account and a token for each of its controllers: upstream's 20 requests a second
 * hold pods and pod networks back for seconds. Nodes are looked at half as often as upstream does: a dead one is
 * noticed after 50 to 60 s instead of 50 to 55.
 */
const smallFlags: Record<string, FlagValue> = {
  'kube-api-burst': 200,
  'kube-api-qps': 100,
  'node-monitor-period': '10s',
};
