import type { ClusterConfig } from '../config/types.ts';
import type { KubeObject } from '../kube-client/types.ts';

/** Where every packaged addon lives. */
export const addonNamespace = 'kube-system';

/** Labels by which people and tools find an addon. */
export function addonLabels(name: string): Record<string, string> {
  return {
    'k8s-app': name,
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/managed-by': 'mini-k8s',
  };
}

export function serviceAccount(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: addonNamespace, labels: addonLabels(name) },
  };
}

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export function clusterRole(name: string, rules: readonly PolicyRule[]): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name },
    rules,
  };
}

export type Subject =
  | { readonly kind: 'ServiceAccount'; readonly name: string; readonly namespace: string }
  | { readonly kind: 'Group' | 'User'; readonly name: string };

export interface BindingOptions {
  readonly name: string;
  readonly role: string;
  readonly subject: Subject;
}

export function clusterRoleBinding(options: BindingOptions): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: options.name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: options.role },
    subjects: [renderSubject(options.subject)],
  };
}

export function renderSubject(subject: Subject): Record<string, string> {
  return subject.kind === 'ServiceAccount'
    ? { kind: subject.kind, name: subject.name, namespace: subject.namespace }
    : { kind: subject.kind, name: subject.name, apiGroup: 'rbac.authorization.k8s.io' };
}

/** The addon's own account as a subject. */
export function ownAccount(name: string): Subject {
  return { kind: 'ServiceAccount', name, namespace: addonNamespace };
}

/** Garbage collection tuned for little memory, like the host processes'. */
export function goEnvironment(config: ClusterConfig): { name: string; value: string }[] {
  return config.spec.tuning === 'small' ? [{ name: 'GOGC', value: '25' }] : [];
}

/** An HTTP probe without initial delay. */
export function httpProbe(path: string, port: number | string, periodSeconds: number) {
  return { httpGet: { path, port }, periodSeconds, timeoutSeconds: 5, failureThreshold: 3 };
}

/**
 * Looks often until it answers for the first time, since that decides how soon a fresh node is Ready, and seldom from
 * then on, since every look costs CPU time for ever. Five minutes are left for a worn SD card.
 */
export function startupProbe(path: string, port: number | string) {
  return { ...httpProbe(path, port, 2), failureThreshold: 150 };
}

/** The strictest security context that a container without privileges can have. */
export function restrictedContainer(capabilities: readonly string[] = []) {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'], ...(capabilities.length === 0 ? {} : { add: capabilities }) },
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    runAsUser: 65_532,
    runAsGroup: 65_532,
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** The controllers keep both on every node; the site's name is `main` where no address translation lies between. */
export const siteLabel = 'mini-k8s.io/site';
export const behindNatLabel = 'mini-k8s.io/behind-nat';

/** Nodes that every node outside an address translation reaches. */
export const onMainSite = {
  matchExpressions: [{ key: siteLabel, operator: 'In', values: ['main'] }],
};

/** Controllers first, then the rest of their site: what serves the whole cluster is of use where others reach it. */
export const preferredPlaces = [
  { weight: 100, preference: onMainSite },
  {
    weight: 50,
    preference: {
      matchExpressions: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }],
    },
  },
];

/** Runs on a control-plane node and on nodes that are still coming up. */
export const criticalTolerations = [
  { key: 'CriticalAddonsOnly', operator: 'Exists' },
  { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' },
];
