import { executableArtifact } from '../artifacts/catalog.ts';
import { renderFlags } from '../base/flags.ts';
import {
  clientIdentity,
  goEnvironment,
  kubeconfigPath,
  loopbackServer,
  pair,
  pkiFiles,
  ports,
  stopTimeouts,
} from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * kube-scheduler, on loopback.
 * @see https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/
 */
export function planKubeScheduler(context: PlanContext): ComponentPlan {
  const { paths } = context;
  const identity = clientIdentity(context, {
    name: 'kube-scheduler',
    commonName: 'system:kube-scheduler',
  });
  const server = pair(paths.pkiDir, 'kube-scheduler');
  return {
    artifacts: [
      executableArtifact('kubernetes', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['kube-scheduler'],
      }),
    ],
    certificates: [identity.certificate, loopbackServer(context, 'kube-scheduler')],
    files: [identity.kubeconfig],
    process: {
      name: 'kube-scheduler',
      executable: `${paths.binDir}/kube-scheduler`,
      args: renderFlags({
        'bind-address': '127.0.0.1',
        kubeconfig: kubeconfigPath(paths, 'kube-scheduler'),
        'leader-elect': false,
        profiling: false,
        'secure-port': ports.scheduler,
        'tls-cert-file': server.certFile,
        'tls-min-version': 'VersionTLS12',
        'tls-private-key-file': server.keyFile,
      }),
      env: goEnvironment(context, 25),
      dependsOn: ['kube-apiserver'],
      readiness: {
        type: 'https',
        url: `https://127.0.0.1:${ports.scheduler}/healthz`,
        caFile: pkiFiles(paths).ca.certFile,
      },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.aroundApi,
      limits: { oomScoreAdj: -900 },
    },
  };
}
