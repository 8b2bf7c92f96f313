import { executableArtifact } from '../artifacts/catalog.ts';
import type { FileSpec } from '../base/files.ts';
import { renderFlags } from '../base/flags.ts';
import type { Paths } from '../config/paths.ts';
import type { CertificateSpec } from '../pki/types.ts';
import {
  configFile,
  goEnvironment,
  leafTtlDays,
  pair,
  pkiFiles,
  ports,
  stopTimeouts,
} from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * Owner of etcd's data where the machine has no `etcd` user: a number without an entry in /etc/passwd
 * does the same, and nothing of the machine changes.
 */
export const fallbackEtcdId = 2379;

/**
 * etcd, one member, on loopback only: an address change of the machine cannot break it.
 * @see https://etcd.io/docs/v3.6/op-guide/configuration/
 */
export function planEtcd(context: PlanContext): ComponentPlan {
  const { paths, config } = context;
  const { clientPort, peerPort } = config.spec.storage.etcd;
  const { uid, gid } = etcdOwner(context);
  const pki = etcdPki(context);
  const peerUrl = `https://127.0.0.1:${peerPort}`;
  const clientUrl = `https://127.0.0.1:${clientPort}`;
  const ca = pkiFiles(paths).etcdCa.certFile;
  return {
    artifacts: [
      executableArtifact('etcd', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['etcd', 'etcdctl'],
      }),
    ],
    certificates: etcdCertificates(context),
    directories: [{ path: paths.etcdDir, mode: 0o700, uid, gid }],
    files: [toolEnvironment(context)],
    process: {
      name: 'etcd',
      executable: `${paths.binDir}/etcd`,
      args: renderFlags({
        name: 'default',
        'data-dir': paths.etcdDir,
        'listen-client-urls': clientUrl,
        'advertise-client-urls': clientUrl,
        'listen-peer-urls': peerUrl,
        'initial-advertise-peer-urls': peerUrl,
        'initial-cluster': `default=${peerUrl}`,
        'listen-metrics-urls': `http://127.0.0.1:${ports.etcdMetrics}`,
        'trusted-ca-file': ca,
        'cert-file': pki.server.certFile,
        'key-file': pki.server.keyFile,
        'client-cert-file': pki.client.certFile,
        'client-key-file': pki.client.keyFile,
        'client-cert-auth': true,
        'peer-trusted-ca-file': ca,
        'peer-cert-file': pki.peerServer.certFile,
        'peer-key-file': pki.peerServer.keyFile,
        'peer-client-cert-file': pki.peerClient.certFile,
        'peer-client-key-file': pki.peerClient.keyFile,
        'peer-client-cert-auth': true,
        'log-level': 'warn',
        ...(config.spec.tuning === 'small' ? smallFlags : {}),
      }),
      env: goEnvironment(context, 25),
      uid,
      gid,
      dependsOn: [],
      readiness: { type: 'http', url: `http://127.0.0.1:${ports.etcdMetrics}/readyz` },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.etcd,
      limits: { oomScoreAdj: -999 },
    },
  };
}

/** Environment of `mini-k8s etcdctl`, which thus needs neither the configuration nor the flags of the controller. */
function toolEnvironment(context: PlanContext): FileSpec {
  const client = pair(context.paths.pkiDir, 'kube-apiserver-etcd-client');
  return configFile(etcdctlEnvironmentPath(context.paths), {
    ETCDCTL_ENDPOINTS: `https://127.0.0.1:${context.config.spec.storage.etcd.clientPort}`,
    ETCDCTL_CACERT: pkiFiles(context.paths).etcdCa.certFile,
    ETCDCTL_CERT: client.certFile,
    ETCDCTL_KEY: client.keyFile,
  });
}

export function etcdctlEnvironmentPath(paths: Paths): string {
  return `${paths.etcDir}/etcdctl.json`;
}

/** Who runs etcd and owns its data and keys (CIS 1.1.11, 1.1.12). */
export function etcdOwner(context: PlanContext): { uid: number; gid: number } {
  return context.host.etcdUser ?? { uid: fallbackEtcdId, gid: fallbackEtcdId };
}

/**
 * Less memory and fewer writes: a short raft log, few WAL files, batched bbolt commits (safe: the WAL is
 * synced). kube-apiserver already compacts every 5 minutes. Heartbeat and election stay upstream's: a
 * single member elects itself, and longer ticks would only make it start later.
 */
const smallFlags = {
  'snapshot-count': 5000,
  'max-wals': 2,
  'max-snapshots': 2,
  'backend-batch-interval': '500ms',
  'quota-backend-bytes': 1024 * 1024 * 1024,
};

function etcdPki(context: PlanContext) {
  const dir = context.paths.pkiDir;
  return {
    server: pair(dir, 'etcd-server'),
    client: pair(dir, 'etcd-self-client'),
    peerServer: pair(dir, 'etcd-peer-server'),
    peerClient: pair(dir, 'etcd-peer-client'),
  };
}

function etcdCertificates(context: PlanContext): CertificateSpec[] {
  const pki = etcdPki(context);
  const common = {
    authority: 'etcd-ca',
    organizations: [],
    ttlDays: leafTtlDays,
    ...etcdOwner(context),
  };
  const serverNames = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const none = { dnsNames: [], ipAddresses: [] };
  return [
    {
      ...common,
      ...serverNames,
      name: 'etcd-server',
      commonName: 'etcd',
      usage: 'server',
      ...pki.server,
    },
    {
      ...common,
      ...none,
      name: 'etcd-self-client',
      commonName: 'etcd',
      usage: 'client',
      ...pki.client,
    },
    {
      ...common,
      ...serverNames,
      name: 'etcd-peer-server',
      commonName: 'etcd-peer',
      usage: 'server',
      ...pki.peerServer,
    },
    {
      ...common,
      ...serverNames,
      name: 'etcd-peer-client',
      commonName: 'etcd-peer',
      usage: 'client',
      ...pki.peerClient,
    },
  ];
}
