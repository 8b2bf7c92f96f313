import type { KubeObject } from '../kube-client/types.ts';
import {
  addonLabels,
  addonNamespace,
  clusterRole,
  clusterRoleBinding,
  goEnvironment,
  httpProbe,
  ownAccount,
  serviceAccount,
  siteLabel,
  startupProbe,
} from './manifest.ts';
import type { Addon, AddonContext } from './types.ts';

const name = 'kube-router';
/** kube-router's own default. */
const healthPort = 20_244;

/**
 * Pod network and NetworkPolicy; Services are kube-proxy's.
 * @see https://www.kube-router.io/docs/user-guide/
 */
export const kubeRouter: Addon = {
  name,
  isEnabled: (config) => config.spec.network.provider === 'kube-router',
  planStack: (context) => ({
    name,
    objects: [
      serviceAccount(name),
      clusterRole(name, [
        {
          apiGroups: [''],
          resources: ['namespaces', 'pods', 'services', 'nodes', 'endpoints'],
          verbs: ['get', 'list', 'watch'],
        },
        {
          apiGroups: ['networking.k8s.io'],
          resources: ['networkpolicies'],
          verbs: ['get', 'list', 'watch'],
        },
        {
          apiGroups: ['discovery.k8s.io'],
          resources: ['endpointslices'],
          verbs: ['get', 'list', 'watch'],
        },
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          verbs: ['get', 'create', 'update'],
        },
        { apiGroups: [''], resources: ['services/status'], verbs: ['update'] },
      ]),
      clusterRoleBinding({ name, role: name, subject: ownAccount(name) }),
      daemonSet(context),
    ],
  }),
};

function daemonSet(context: AddonContext): KubeObject {
  const labels = addonLabels(name);
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace: addonNamespace, labels },
    spec: {
      revisionHistoryLimit: 2,
      selector: { matchLabels: { 'k8s-app': name } },
      template: {
        metadata: { labels },
        spec: {
          priorityClassName: 'system-node-critical',
          serviceAccountName: name,
          hostNetwork: true,
          hostPID: true,
          tolerations: [{ operator: 'Exists' }],
          affinity: { nodeAffinity: onNodesWithSite },
          containers: [container(context)],
          volumes: [
            hostPath('modules', '/lib/modules', 'DirectoryOrCreate'),
            hostPath('xtables-lock', '/run/xtables.lock', 'FileOrCreate'),
          ],
        },
      },
    },
  };
}

/**
 * A node gets this label together with the annotation `kube-router.io/node.asn`, the number of its site, which is read
 * once at the start.
 */
const onNodesWithSite = {
  requiredDuringSchedulingIgnoredDuringExecution: {
    nodeSelectorTerms: [{ matchExpressions: [{ key: siteLabel, operator: 'Exists' }] }],
  },
};

function container(context: AddonContext) {
  const { network, api } = context.config.spec;
  return {
    name,
    image: context.images.kubeRouter,
    imagePullPolicy: 'IfNotPresent',
    args: [
      '--run-router=true',
      '--run-firewall=true',
      '--run-service-proxy=false',
      '--run-loadbalancer=false',
      '--bgp-graceful-restart=true',
      // Peers are the nodes of the same site (of the same number): others cannot be reached, or are somebody else.
      '--nodes-full-mesh=false',
      // A new node has neither its number nor its pod network when kube-router hears of it, and it hears nothing later:
      // until the next round it is no peer, no pod elsewhere is reached from its own, and these are taken for strangers,
      // although it is Ready. A round takes 10 ms of CPU; the default is five minutes.
      '--routes-sync-period=10s',
      // The CNI configuration is written by mini-k8s, whole; kube-router would truncate and write it again at each start.
      '--enable-cni=false',
      '--auto-mtu=true',
      '--metrics-port=0',
      `--service-cluster-ip-range=${network.serviceCIDR}`,
      `--service-node-port-range=${network.nodePortRange.replace('-', ':')}`,
    ],
    env: [
      { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      // The API at the node's own address: no Service is needed to make Services work.
      { name: 'KUBERNETES_SERVICE_HOST', value: '127.0.0.1' },
      { name: 'KUBERNETES_SERVICE_PORT', value: String(api.port) },
      ...goEnvironment(context.config),
    ],
    resources: { requests: { cpu: '50m', memory: '32Mi' } },
    startupProbe: startupProbe('/healthz', healthPort),
    livenessProbe: httpProbe('/healthz', healthPort, 30),
    readinessProbe: httpProbe('/healthz', healthPort, 10),
    securityContext: { privileged: true },
    volumeMounts: [
      { name: 'modules', mountPath: '/lib/modules', readOnly: true },
      { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
    ],
  };
}

function hostPath(volume: string, path: string, type: string) {
  return { name: volume, hostPath: { path, type } };
}
