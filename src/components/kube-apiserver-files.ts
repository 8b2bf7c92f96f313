import type { FileSpec } from '../base/files.ts';
import type { FlagValue } from '../base/flags.ts';
import type { Paths } from '../config/paths.ts';
import { configFile } from './layout.ts';
import type { PlanContext } from './types.ts';

/** Where kube-apiserver's configuration files lie. */
export function filePaths(paths: Paths) {
  const dir = paths.etcDir;
  return {
    admission: `${dir}/admission.json`,
    audit: `${dir}/audit-policy.json`,
    authentication: `${dir}/authentication.json`,
    egress: `${dir}/egress-selector.json`,
    encryption: `${dir}/encryption.json`,
  } as const;
}

/** The configuration files of kube-apiserver, one object each. */
export function accessFiles(context: PlanContext): FileSpec[] {
  const files = filePaths(context.paths);
  return [
    configFile(files.admission, admissionConfiguration()),
    configFile(files.audit, auditPolicy(context)),
    configFile(files.authentication, authenticationConfiguration()),
    configFile(files.egress, egressSelector(context)),
    configFile(files.encryption, encryptionConfiguration()),
  ];
}

/**
 * An audit log that an SD card survives: 10 MB × 3. `hardening: cis` takes CIS 1.2.17–19 to the letter.
 * Batches keep the disk out of every request's way.
 */
export function auditFlags(context: PlanContext): Record<string, FlagValue> {
  const isCis = context.config.spec.hardening === 'cis';
  return {
    'audit-log-path': `${context.paths.auditDir}/audit.log`,
    'audit-log-mode': 'batch',
    'audit-log-maxage': 30,
    'audit-log-maxbackup': isCis ? 10 : 2,
    'audit-log-maxsize': isCis ? 100 : 10,
    'audit-policy-file': filePaths(context.paths).audit,
  };
}

/** Health without credentials, nothing else (design §11.10). @see https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests */
function authenticationConfiguration(): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    anonymous: {
      enabled: true,
      conditions: ['/livez', '/readyz', '/healthz'].map((path) => ({ path })),
    },
  };
}

/** Pods and nodes are reached through the tunnel in this program. @see https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/ */
function egressSelector(context: PlanContext): unknown {
  return {
    apiVersion: 'apiserver.k8s.io/v1beta1',
    kind: 'EgressSelectorConfiguration',
    egressSelections: [
      {
        name: 'cluster',
        connection: {
          proxyProtocol: 'HTTPConnect',
          transport: { uds: { udsName: context.paths.tunnelSocket } },
        },
      },
    ],
  };
}

/** Secrets are encrypted in etcd; `identity` last reads what was written before. @see https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/ */
function encryptionConfiguration(): unknown {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference that the file engine fills (base/files)
  const secret = '${secret:encryption-key}';
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [
      {
        resources: ['secrets'],
        providers: [{ secretbox: { keys: [{ name: 'key1', secret }] } }, { identity: {} }],
      },
    ],
  };
}

/**
 * Warnings for pods that are not `baseline`, enforcement by namespace label; and a bound on events, so that
 * one crash-looping pod cannot fill etcd.
 * @see https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-admission-controller/
 */
function admissionConfiguration(): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AdmissionConfiguration',
    plugins: [
      {
        name: 'PodSecurity',
        configuration: {
          apiVersion: 'pod-security.admission.config.k8s.io/v1',
          kind: 'PodSecurityConfiguration',
          defaults: {
            enforce: 'privileged',
            'enforce-version': 'latest',
            audit: 'baseline',
            'audit-version': 'latest',
            warn: 'baseline',
            'warn-version': 'latest',
          },
          exemptions: { usernames: [], runtimeClasses: [], namespaces: ['kube-system'] },
        },
      },
      {
        name: 'EventRateLimit',
        configuration: {
          apiVersion: 'eventratelimit.admission.k8s.io/v1alpha1',
          kind: 'Configuration',
          limits: [
            { type: 'Server', qps: 50, burst: 500 },
            { type: 'SourceAndObject', qps: 1, burst: 25, cacheSize: 512 },
          ],
        },
      },
    ],
  };
}

/** Metadata only: who changed what and when, without bodies; the chatter of the machinery is dropped. */
function auditPolicy(context: PlanContext): unknown {
  const isCis = context.config.spec.hardening === 'cis';
  const noise = [
    {
      level: 'None',
      nonResourceURLs: ['/healthz*', '/livez*', '/readyz*', '/version', '/openapi*', '/api*'],
    },
    {
      level: 'None',
      resources: [{ group: '', resources: ['events'] }, { group: 'events.k8s.io' }],
    },
    { level: 'None', resources: [{ group: 'coordination.k8s.io', resources: ['leases'] }] },
    {
      level: 'None',
      verbs: ['get', 'list', 'watch'],
      userGroups: ['system:nodes', 'system:serviceaccounts:kube-system'],
      resources: [{ group: '' }, { group: 'discovery.k8s.io' }, { group: 'networking.k8s.io' }],
    },
    {
      level: 'None',
      users: [
        'system:kube-controller-manager',
        'system:kube-scheduler',
        'system:kube-proxy',
        'system:apiserver',
        'mini-k8s',
      ],
      verbs: ['get', 'list', 'watch'],
    },
  ];
  // Upstream's machinery rewrites its status many times an hour: nobody reads that on a small device.
  const machinery = [
    {
      level: 'None',
      userGroups: ['system:nodes'],
      verbs: ['update', 'patch'],
      resources: [{ group: '', resources: ['nodes/status', 'pods/status'] }],
    },
  ];
  return {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [...noise, ...(isCis ? [] : machinery), { level: 'Metadata' }],
  };
}
