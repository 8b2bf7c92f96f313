import type { FileSpec } from '../base/files.ts';
import { parseIpv4 } from '../base/ip.ts';
import type { KubeObject } from '../kube-client/types.ts';
import {
  addonLabels,
  addonNamespace,
  behindNatLabel,
  clusterRole,
  clusterRoleBinding,
  criticalTolerations,
  goEnvironment,
  httpProbe,
  onMainSite,
  ownAccount,
  preferredPlaces,
  restrictedContainer,
  serviceAccount,
  startupProbe,
} from './manifest.ts';
import type { Addon, AddonContext } from './types.ts';

const name = 'coredns';
/** The label that Kubernetes' DNS has always had; tools select by it. */
const dnsLabels = { ...addonLabels('kube-dns'), 'kubernetes.io/name': 'CoreDNS' };
const selector = { 'k8s-app': 'kube-dns' };
/** Tells the pods of the second workload from the first's; the Service selects both. */
const siteLabels = { 'app.kubernetes.io/component': 'site-dns' };

/**
 * Cluster DNS: one replica, no probe delay, and one pod on each node behind an address translation, which cannot reach
 * that replica.
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
      siteDaemonSet(context),
    ],
  }),
};

/**
 * What a node tells the CoreDNS that runs on it. Without a nameserver `forward` would keep CoreDNS from starting
 * (design §11.13): then it serves the cluster's names only. CoreDNS notices a change within half a minute.
 */
export function upstreamDns(dnsDirectory: string, nameservers: readonly string[]): FileSpec {
  // The resolver of the C library reads three, too. A zone (`fe80::1%eth0`) means nothing in a pod.
  const usable = nameservers.filter(isReachableFromPods).slice(0, 3);
  const lines =
    usable.length === 0
      ? ['# this node has no nameserver']
      : [`forward . ${usable.join(' ')} {`, '    max_concurrent 1000', '}', 'loop'];
  return {
    path: `${dnsDirectory}/upstream.conf`,
    content: `${lines.join('\n')}\n`,
    mode: 0o644,
    uid: 0,
    gid: 0,
  };
}

function isReachableFromPods(address: string): boolean {
  if (address.includes(':')) return /^[0-9a-f:.]+$/i.test(address) && address !== '::1';
  return parseIpv4(address) !== undefined && !address.startsWith('127.');
}

export function corefile(context: AddonContext): string {
  const domain = context.config.spec.network.clusterDomain;
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
    `    import ${context.dnsDirectory}/*.conf`,
    '    cache 30 {',
    '        success 2000',
    '        denial 1000',
    `        disable success ${domain}`,
    `        disable denial ${domain}`,
    '    }',
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
      // A pod of the node's own answers where there is one, else one of its zone: the others may be out of reach.
      trafficDistribution: 'PreferSameNode',
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
      template: template(context, {
        labels: dnsLabels,
        affinity: { nodeAffinity: place(context) },
      }),
    },
  };
}

/** Not behind an address translation where there is another node for certain: nodes elsewhere could not ask it. */
function place(context: AddonContext) {
  const preferred = { preferredDuringSchedulingIgnoredDuringExecution: preferredPlaces };
  if (!context.runsWorkloads) return preferred;
  return {
    ...preferred,
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [onMainSite] },
  };
}

function siteDaemonSet(context: AddonContext): KubeObject {
  const labels = { ...dnsLabels, ...siteLabels };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'coredns-site', namespace: addonNamespace, labels },
    spec: {
      revisionHistoryLimit: 2,
      selector: { matchLabels: { ...selector, ...siteLabels } },
      template: template(context, { labels, nodeSelector: { [behindNatLabel]: 'true' } }),
    },
  };
}

interface Placement {
  readonly labels: Readonly<Record<string, string>>;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly affinity?: object;
}

function template(context: AddonContext, placement: Placement) {
  const { labels, nodeSelector, ...rest } = placement;
  return {
    metadata: { labels },
    spec: {
      priorityClassName: 'system-cluster-critical',
      serviceAccountName: name,
      dnsPolicy: 'Default',
      nodeSelector: { 'kubernetes.io/os': 'linux', ...nodeSelector },
      tolerations: criticalTolerations,
      ...rest,
      containers: [container(context)],
      volumes: [
        { name: 'config', configMap: { name, items: [{ key: 'Corefile', path: 'Corefile' }] } },
        { name: 'node', hostPath: { path: context.dnsDirectory, type: 'DirectoryOrCreate' } },
      ],
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
    volumeMounts: [
      { name: 'config', mountPath: '/etc/coredns', readOnly: true },
      { name: 'node', mountPath: context.dnsDirectory, readOnly: true },
    ],
  };
}
