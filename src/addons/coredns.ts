import type { KubeObject } from '../kube-client/types.ts';
import {
  addonLabels,
  addonNamespace,
  clusterRole,
  clusterRoleBinding,
  criticalTolerations,
  goEnvironment,
  httpProbe,
  ownAccount,
  restrictedContainer,
  serviceAccount,
  startupProbe,
} from './manifest.ts';
import type { Addon, AddonContext } from './types.ts';

const name = 'coredns';
/** The label that Kubernetes' DNS has always had; tools select by it. */
const dnsLabels = { ...addonLabels('kube-dns'), 'kubernetes.io/name': 'CoreDNS' };
const selector = { 'k8s-app': 'kube-dns' };

/**
 * Cluster DNS: one replica, no probe delay.
 * @see https://coredns.io/plugins/kubernetes/
 */
export const coredns: Addon = {
  name,
  isEnabled: (config) => config.spec.addons.coredns.enabled,
  planStack: (context) => ({
    name,
    objects: [
      serviceAccount(name),
      clusterRole('system:coredns', [
        {
          apiGroups: [''],
          resources: ['endpoints', 'services', 'pods', 'namespaces'],
          verbs: ['list', 'watch'],
        },
        {
          apiGroups: ['discovery.k8s.io'],
          resources: ['endpointslices'],
          verbs: ['list', 'watch'],
        },
      ]),
      clusterRoleBinding({
        name: 'system:coredns',
        role: 'system:coredns',
        subject: ownAccount(name),
      }),
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: addonNamespace },
        data: { Corefile: corefile(context) },
      },
      service(context),
      deployment(context),
    ],
  }),
};

/**
 * Without a nameserver in the node's resolv.conf `forward` would keep CoreDNS from starting (design §11.13):
 * then it serves the cluster's names only.
 */
export function corefile(context: AddonContext): string {
  const domain = context.config.spec.network.clusterDomain;
  const forward = context.hasUpstreamNameserver
    ? ['    forward . /etc/resolv.conf {', '        max_concurrent 1000', '    }']
    : [];
  return [
    '.:53 {',
    '    errors',
    '    health {',
    '        lameduck 5s',
    '    }',
    '    ready',
    `    kubernetes ${domain} in-addr.arpa ip6.arpa {`,
    '        pods insecure',
    '        fallthrough in-addr.arpa ip6.arpa',
    '        ttl 30',
    '    }',
    '    prometheus :9153',
    ...forward,
    '    cache 30 {',
    '        success 2000',
    '        denial 1000',
    `        disable success ${domain}`,
    `        disable denial ${domain}`,
    '    }',
    ...(context.hasUpstreamNameserver ? ['    loop'] : []),
    '    reload',
    '    loadbalance',
    '}',
    '',
  ].join('\n');
}

function service(context: AddonContext): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace: addonNamespace, labels: dnsLabels },
    spec: {
      clusterIP: context.clusterDns,
      selector,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 'dns' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 'dns-tcp' },
        { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 'metrics' },
      ],
    },
  };
}

function deployment(context: AddonContext): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: addonNamespace, labels: dnsLabels },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 2,
      selector: { matchLabels: selector },
      // On one small node there is no room for a second copy while the first still runs.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      template: {
        metadata: { labels: dnsLabels },
        spec: {
          priorityClassName: 'system-cluster-critical',
          serviceAccountName: name,
          dnsPolicy: 'Default',
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          tolerations: criticalTolerations,
          containers: [container(context)],
          volumes: [
            { name: 'config', configMap: { name, items: [{ key: 'Corefile', path: 'Corefile' }] } },
          ],
        },
      },
    },
  };
}

function container(context: AddonContext) {
  return {
    name,
    image: context.images.coredns,
    imagePullPolicy: 'IfNotPresent',
    args: ['-conf', '/etc/coredns/Corefile'],
    env: goEnvironment(context.config),
    ports: [
      { name: 'dns', containerPort: 53, protocol: 'UDP' },
      { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
      { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
    ],
    resources: { requests: { cpu: '20m', memory: '24Mi' }, limits: { memory: '170Mi' } },
    startupProbe: startupProbe('/ready', 8181),
    livenessProbe: httpProbe('/health', 8080, 30),
    readinessProbe: httpProbe('/ready', 8181, 10),
    securityContext: restrictedContainer(['NET_BIND_SERVICE']),
    volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
  };
}
