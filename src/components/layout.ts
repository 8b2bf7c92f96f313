import type { FileSpec } from '../base/files.ts';
import type { Paths } from '../config/paths.ts';
import { renderKubeconfig } from '../pki/kubeconfig.ts';
import type { CertificateSpec } from '../pki/types.ts';
import type { PlanContext } from './types.ts';

/** Ports on loopback and on the node that upstream documents. @see https://kubernetes.io/docs/reference/networking/ports-and-protocols/ */
export const ports = {
  kubelet: 10250,
  kubeletHealthz: 10248,
  kubeProxyMetrics: 10249,
  kubeProxyHealthz: 10256,
  controllerManager: 10257,
  scheduler: 10259,
  etcdMetrics: 2381,
} as const;

/** On a worker: ready when the kubelet has its certificate, by which everything else there is known to the API. */
export const membershipComponent = 'membership';

/** Ten years for authorities; a leaf lives one and is issued again when two thirds are over. */
export const authorityTtlDays = 3650;
export const leafTtlDays = 365;

/**
 * Between SIGTERM and SIGKILL, milliseconds. Components end in three rounds, dependents first, and Ctrl-C must be over
 * within 20 s: those around the API, the API itself, etcd (which SIGKILL does not harm: its log is synced).
 */
export const stopTimeouts = { aroundApi: 5000, api: 7000, etcd: 6000 } as const;

/** Cipher suites of CIS 1.2.29 and 4.2.12 that TLS 1.2 clients still need; TLS 1.3 has its own. */
export const strongCipherSuites = [
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
] as const;

/** Where each certificate of a node lies. */
export function pkiFiles(paths: Paths) {
  const dir = paths.pkiDir;
  return {
    ca: pair(dir, 'ca'),
    frontProxyCa: pair(dir, 'front-proxy-ca'),
    etcdCa: pair(dir, 'etcd-ca'),
    serviceAccount: {
      privateKeyFile: `${dir}/service-account.key`,
      publicKeyFile: `${dir}/service-account.pub`,
    },
  } as const;
}

/** `<dir>/<name>.crt` and `<dir>/<name>.key`. */
export function pair(dir: string, name: string): { certFile: string; keyFile: string } {
  return { certFile: `${dir}/${name}.crt`, keyFile: `${dir}/${name}.key` };
}

/** URL of the API on every node (design §4: local API). */
export function localApiUrl(context: PlanContext): string {
  return `https://127.0.0.1:${context.config.spec.api.port}`;
}

export interface ClientOptions {
  /** File name of certificate and kubeconfig: `kube-scheduler`. */
  readonly name: string;
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

/** A client of the API: its certificate and the kubeconfig that points at it. */
export interface ClientIdentity {
  readonly certificate: CertificateSpec;
  readonly kubeconfig: FileSpec;
}

export function clientIdentity(context: PlanContext, options: ClientOptions): ClientIdentity {
  const files = pair(context.paths.pkiDir, `${options.name}-client`);
  return {
    certificate: {
      name: `${options.name}-client`,
      authority: 'ca',
      commonName: options.commonName,
      organizations: options.organizations ?? [],
      usage: 'client',
      dnsNames: [],
      ipAddresses: [],
      ...files,
      ttlDays: leafTtlDays,
    },
    kubeconfig: privateFile(
      kubeconfigPath(context.paths, options.name),
      renderKubeconfig({
        server: localApiUrl(context),
        caFile: pkiFiles(context.paths).ca.certFile,
        ...files,
        userName: options.commonName,
      }),
    ),
  };
}

/** FlexVolume drivers; kubelet and kube-controller-manager make the directory. */
export function volumePluginDir(paths: Paths): string {
  return `${paths.kubeletDir}/volume-plugins`;
}

export function kubeconfigPath(paths: Paths, name: string): string {
  return `${paths.etcDir}/${name}.kubeconfig`;
}

/** Root's own file: CIS 1.1 and 4.1 want 0600 for every configuration and kubeconfig. */
export function privateFile(path: string, content: string): FileSpec {
  return { path, content, mode: 0o600, uid: 0, gid: 0 };
}

/** A configuration object as the JSON that every Kubernetes component also reads as YAML. */
export function configFile(path: string, object: unknown): FileSpec {
  return privateFile(path, `${JSON.stringify(object, null, 2)}\n`);
}

/** Environment of a Go component: what it may run, and how eagerly it collects garbage. */
export function goEnvironment(context: PlanContext, gogc: number): Record<string, string> {
  const path = `${context.paths.binDir}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  return context.config.spec.tuning === 'upstream'
    ? { PATH: path }
    : { PATH: path, GOGC: String(gogc) };
}

/** A serving certificate for a component that listens on loopback only. */
export function loopbackServer(context: PlanContext, name: string) {
  return {
    name,
    authority: 'ca',
    commonName: name,
    organizations: [],
    usage: 'server',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    ...pair(context.paths.pkiDir, name),
    ttlDays: leafTtlDays,
  } as const;
}
