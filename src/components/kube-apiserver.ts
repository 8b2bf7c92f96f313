import { executableArtifact } from '../artifacts/catalog.ts';
import { type FlagValue, renderFlags } from '../base/flags.ts';
import { nthAddress, parseCidr } from '../base/ip.ts';
import { isMachineAddress } from '../config/node-address.ts';
import type { CertificateSpec } from '../pki/types.ts';
import { accessFiles, auditFlags, filePaths } from './kube-apiserver-files.ts';
import {
  goEnvironment,
  leafTtlDays,
  localApiUrl,
  pair,
  pkiFiles,
  stopTimeouts,
  strongCipherSuites,
} from './layout.ts';
import type { ComponentPlan, PlanContext } from './types.ts';

/**
 * kube-apiserver. Flags follow every scored check of CIS 1.2.
 * @see https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
 */
export function planKubeApiserver(context: PlanContext): ComponentPlan {
  const { paths } = context;
  return {
    artifacts: [
      executableArtifact('kubernetes', {
        arch: context.host.arch,
        directory: paths.binDir,
        members: ['kube-apiserver', 'kubectl'],
      }),
    ],
    certificates: apiserverCertificates(context),
    secrets: [{ name: 'encryption-key', file: `${paths.pkiDir}/encryption.key`, bytes: 32 }],
    directories: [{ path: paths.auditDir, mode: 0o700, uid: 0, gid: 0 }],
    files: accessFiles(context),
    process: {
      name: 'kube-apiserver',
      executable: `${paths.binDir}/kube-apiserver`,
      args: renderFlags(apiserverFlags(context)),
      env: goEnvironment(context, 25),
      // The tunnel's socket must be there before the first request for a kubelet or a webhook.
      dependsOn: ['etcd', 'tunnel'],
      readiness: {
        type: 'https',
        url: `${localApiUrl(context)}/readyz`,
        caFile: pkiFiles(paths).ca.certFile,
      },
      startTimeoutMs: 120_000,
      stopTimeoutMs: stopTimeouts.api,
      limits: { oomScoreAdj: -998 },
    },
  };
}

function apiserverFlags(context: PlanContext): Record<string, FlagValue> {
  const { config, paths } = context;
  const { spec } = config;
  return {
    ...identityFlags(context),
    ...etcdFlags(context),
    ...kubeletFlags(context),
    ...auditFlags(context),
    'advertise-address': context.nodeAddress,
    'allow-privileged': true,
    'authentication-config': filePaths(paths).authentication,
    'authorization-mode': ['Node', 'RBAC'],
    'admission-control-config-file': filePaths(paths).admission,
    'bind-address': '0.0.0.0',
    'egress-selector-config-file': filePaths(paths).egress,
    'enable-admission-plugins': ['NodeRestriction', 'DenyServiceExternalIPs', 'EventRateLimit'],
    'enable-aggregator-routing': true,
    'enable-bootstrap-token-auth': true,
    'encryption-provider-config': filePaths(paths).encryption,
    'endpoint-reconciler-type': 'lease',
    profiling: false,
    'secure-port': spec.api.port,
    'service-cluster-ip-range': spec.network.serviceCIDR,
    'service-node-port-range': spec.network.nodePortRange,
    'tls-cipher-suites': strongCipherSuites,
    'tls-min-version': 'VersionTLS12',
    ...(spec.tuning === 'small' ? smallFlags : {}),
  };
}

/** Fewer objects kept for less long, and a bound on what a burst of requests can take. */
const smallFlags: Record<string, FlagValue> = {
  'event-ttl': '30m',
  'max-requests-inflight': 200,
  'max-mutating-requests-inflight': 100,
  // Pods keep their watches open while we stop: without a bound they hold the server for a minute.
  'shutdown-watch-termination-grace-period': '1s',
};

/** Who it is, whom it believes, and how it signs. */
function identityFlags(context: PlanContext): Record<string, FlagValue> {
  const { paths, config } = context;
  const files = pkiFiles(paths);
  const server = pair(paths.pkiDir, 'kube-apiserver');
  const frontProxy = pair(paths.pkiDir, 'front-proxy-client');
  return {
    'client-ca-file': files.ca.certFile,
    'tls-cert-file': server.certFile,
    'tls-private-key-file': server.keyFile,
    'proxy-client-cert-file': frontProxy.certFile,
    'proxy-client-key-file': frontProxy.keyFile,
    'requestheader-allowed-names': 'front-proxy-client',
    'requestheader-client-ca-file': files.frontProxyCa.certFile,
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-username-headers': 'X-Remote-User',
    'service-account-extend-token-expiration': false,
    'service-account-issuer': `https://kubernetes.default.svc.${config.spec.network.clusterDomain}`,
    'service-account-key-file': files.serviceAccount.publicKeyFile,
    'service-account-signing-key-file': files.serviceAccount.privateKeyFile,
  };
}

function etcdFlags(context: PlanContext): Record<string, FlagValue> {
  const client = pair(context.paths.pkiDir, 'kube-apiserver-etcd-client');
  return {
    'etcd-servers': `https://127.0.0.1:${context.config.spec.storage.etcd.clientPort}`,
    'etcd-cafile': pkiFiles(context.paths).etcdCa.certFile,
    'etcd-certfile': client.certFile,
    'etcd-keyfile': client.keyFile,
  };
}

/** Names first: two sites may use the same addresses (design §4, routing). */
function kubeletFlags(context: PlanContext): Record<string, FlagValue> {
  const client = pair(context.paths.pkiDir, 'kube-apiserver-kubelet-client');
  return {
    'kubelet-certificate-authority': pkiFiles(context.paths).ca.certFile,
    'kubelet-client-certificate': client.certFile,
    'kubelet-client-key': client.keyFile,
    'kubelet-preferred-address-types': ['Hostname', 'InternalIP'],
  };
}

/** Every name and address that a client may call this controller by. */
export function controllerNames(context: PlanContext): {
  dnsNames: string[];
  ipAddresses: string[];
} {
  const { api, network } = context.config.spec;
  const services = parseCidr(network.serviceCIDR);
  const isIp = (name: string) => /^[\d.]+$|:/.test(name);
  const given = [...(api.externalAddress === '' ? [] : [api.externalAddress]), ...api.sans];
  const addresses = [
    '127.0.0.1',
    ...(services === undefined ? [] : [nthAddress(services, 1)]),
    context.nodeAddress,
    ...context.host.addresses.filter(isMachineAddress).map((entry) => entry.address),
    ...given.filter(isIp),
  ];
  const names = [
    'localhost',
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    `kubernetes.default.svc.${network.clusterDomain}`,
    context.nodeName,
    ...given.filter((name) => !isIp(name)).map((name) => name.toLowerCase()),
  ];
  return { dnsNames: [...new Set(names)], ipAddresses: [...new Set(addresses)] };
}

function apiserverCertificates(context: PlanContext): CertificateSpec[] {
  const dir = context.paths.pkiDir;
  const client = {
    organizations: [],
    usage: 'client',
    dnsNames: [],
    ipAddresses: [],
    ttlDays: leafTtlDays,
  } as const;
  return [
    {
      name: 'kube-apiserver',
      authority: 'ca',
      commonName: 'kube-apiserver',
      organizations: [],
      usage: 'server',
      ...controllerNames(context),
      ...pair(dir, 'kube-apiserver'),
      ttlDays: leafTtlDays,
      includeAuthority: true,
    },
    {
      ...client,
      name: 'kube-apiserver-kubelet-client',
      authority: 'ca',
      commonName: 'kube-apiserver-kubelet-client',
      organizations: ['mini-k8s:kubelet-clients'],
      ...pair(dir, 'kube-apiserver-kubelet-client'),
    },
    {
      ...client,
      name: 'kube-apiserver-etcd-client',
      authority: 'etcd-ca',
      commonName: 'kube-apiserver-etcd-client',
      ...pair(dir, 'kube-apiserver-etcd-client'),
    },
    {
      ...client,
      name: 'front-proxy-client',
      authority: 'front-proxy-ca',
      commonName: 'front-proxy-client',
      ...pair(dir, 'front-proxy-client'),
    },
  ];
}
