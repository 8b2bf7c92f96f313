import { parseIpv4 } from '../base/ip.ts';
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
  preferredPlaces,
  renderSubject,
  restrictedContainer,
  serviceAccount,
} from './manifest.ts';
import type { Addon, AddonContext, GatewayAddress } from './types.ts';

const name = 'metrics-server';
const port = 10_250;

/** Who metrics-server is to the gateway's proxy, and the name of the secret that proves it. */
export const metricsProxyUser = 'metrics-server';
export const metricsProxyPassword = 'metrics-proxy-password';
const proxySecret = 'metrics-server-proxy';

/**
 * `kubectl top` and autoscaling. It scrapes every kubelet by the name of its node through the controllers' gateway,
 * which knows the way to nodes that nothing can dial.
 * @see https://github.com/kubernetes-sigs/metrics-server
 */
export const metricsServer: Addon = {
  name,
  isEnabled: (config) => config.spec.addons.metricsServer.enabled,
  planStack: (context) => ({
    name,
    objects: [
      ...accessObjects(),
      proxyAccess(context),
      service(),
      deployment(context),
      apiService(),
    ],
  }),
};

function accessObjects(): KubeObject[] {
  return [
    serviceAccount(name),
    clusterRole('system:metrics-server', [
      { apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] },
      { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
    ]),
    clusterRoleBinding({
      name: 'system:metrics-server',
      role: 'system:metrics-server',
      subject: ownAccount(name),
    }),
    clusterRoleBinding({
      name: 'metrics-server:system:auth-delegator',
      role: 'system:auth-delegator',
      subject: ownAccount(name),
    }),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'metrics-server-auth-reader', namespace: addonNamespace },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'Role',
        name: 'extension-apiserver-authentication-reader',
      },
      subjects: [renderSubject(ownAccount(name))],
    },
    aggregatedReader(),
  ];
}

/** People who may view, edit or administer a namespace may also see what its pods use. */
function aggregatedReader(): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: {
      name: 'system:aggregated-metrics-reader',
      labels: {
        'rbac.authorization.k8s.io/aggregate-to-admin': 'true',
        'rbac.authorization.k8s.io/aggregate-to-edit': 'true',
        'rbac.authorization.k8s.io/aggregate-to-view': 'true',
      },
    },
    rules: [
      {
        apiGroups: ['metrics.k8s.io'],
        resources: ['pods', 'nodes'],
        verbs: ['get', 'list', 'watch'],
      },
    ],
  };
}

/** The proxy's address with the password in it: a URL is all that the program takes. */
function proxyAccess({ gateway }: AddonContext): KubeObject {
  const host = proxyHost(gateway);
  const password = `\${secret:${metricsProxyPassword}}`;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: proxySecret, namespace: addonNamespace, labels: addonLabels(name) },
    type: 'Opaque',
    stringData: { url: `https://${metricsProxyUser}:${password}@${host}:${gateway.port}` },
  };
}

function addressesOf(gateway: GatewayAddress): readonly string[] {
  return gateway.hosts.filter((host) => parseIpv4(host) !== undefined);
}

/** By its own name, so that all controllers' addresses can stand behind it and the certificate fits each. */
function proxyHost(gateway: GatewayAddress): string {
  return addressesOf(gateway).length > 0
    ? gateway.serverName
    : (gateway.hosts[0] ?? gateway.serverName);
}

function hostAliases(gateway: GatewayAddress) {
  const addresses = addressesOf(gateway);
  if (addresses.length === 0) return {};
  return { hostAliases: addresses.map((ip) => ({ ip, hostnames: [gateway.serverName] })) };
}

function service(): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: addonNamespace, labels: addonLabels(name) },
    spec: {
      selector: { 'k8s-app': name },
      ports: [
        { name: 'https', port: 443, protocol: 'TCP', targetPort: 'https', appProtocol: 'https' },
      ],
    },
  };
}

function deployment(context: AddonContext): KubeObject {
  const labels = addonLabels(name);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: addonNamespace, labels },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 2,
      selector: { matchLabels: { 'k8s-app': name } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      template: {
        metadata: { labels },
        spec: {
          priorityClassName: 'system-cluster-critical',
          serviceAccountName: name,
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          tolerations: criticalTolerations,
          affinity: {
            nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferredPlaces },
          },
          ...hostAliases(context.gateway),
          containers: [container(context)],
          volumes: [{ name: 'tmp', emptyDir: {} }],
        },
      },
    },
  };
}

function container(context: AddonContext) {
  return {
    name,
    image: context.images.metricsServer,
    imagePullPolicy: 'IfNotPresent',
    args: [
      '--cert-dir=/tmp',
      `--secure-port=${port}`,
      // The proxy takes names only: two sites may have one address.
      '--kubelet-preferred-address-types=Hostname',
      '--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
      '--kubelet-use-node-status-port',
      // The shortest that it takes: a fresh node answers `kubectl top` two rounds after its start.
      '--metric-resolution=10s',
      // Must be below the resolution.
      '--kubelet-request-timeout=9s',
    ],
    env: [
      {
        name: 'HTTPS_PROXY',
        valueFrom: { secretKeyRef: { name: proxySecret, key: 'url' } },
      },
      { name: 'NO_PROXY', value: `${context.apiServiceAddress},kubernetes.default.svc` },
      ...goEnvironment(context.config),
    ],
    ports: [{ name: 'https', containerPort: port, protocol: 'TCP' }],
    resources: { requests: { cpu: '20m', memory: '24Mi' } },
    livenessProbe: {
      httpGet: { path: '/livez', port: 'https', scheme: 'HTTPS' },
      periodSeconds: 30,
      failureThreshold: 3,
    },
    readinessProbe: {
      ...httpProbe('/readyz', 'https', 5),
      httpGet: { path: '/readyz', port: 'https', scheme: 'HTTPS' },
    },
    securityContext: restrictedContainer(),
    volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
  };
}

/**
 * The aggregated API. Upstream's manifest does not verify the server's self-made certificate either; the
 * connection stays on the pod network of this node.
 */
function apiService(): KubeObject {
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: 'v1beta1.metrics.k8s.io', labels: addonLabels(name) },
    spec: {
      group: 'metrics.k8s.io',
      version: 'v1beta1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { name, namespace: addonNamespace },
    },
  };
}
