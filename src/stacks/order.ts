import { groupOf } from './refs.ts';
import type { StackRef } from './types.ts';

/**
 * Kinds in the order of application: what others need comes first. Custom kinds come after these, then the
 * webhooks, which may refuse anything while the workload behind them is not up.
 */
const kindOrder = [
  'CustomResourceDefinition',
  'Namespace',
  'PriorityClass',
  'RuntimeClass',
  'StorageClass',
  'IngressClass',
  'ResourceQuota',
  'LimitRange',
  'ServiceAccount',
  'ClusterRole',
  'Role',
  'ClusterRoleBinding',
  'RoleBinding',
  'ConfigMap',
  'Secret',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'NetworkPolicy',
  'Service',
  'DaemonSet',
  'Deployment',
  'StatefulSet',
  'ReplicaSet',
  'Pod',
  'Job',
  'CronJob',
  'PodDisruptionBudget',
  'HorizontalPodAutoscaler',
  'Ingress',
  'APIService',
];

const rankOfKind = new Map(kindOrder.map((kind, rank) => [kind, rank]));
const customRank = kindOrder.length;
const webhookRank = customRank + 1;

/** The objects in the order of application; those of one kind keep their order. */
export function orderForApply<T extends { readonly ref: StackRef }>(
  objects: readonly T[],
): readonly T[] {
  return objects.toSorted((a, b) => applyRank(a.ref) - applyRank(b.ref));
}

/** References in the order of deletion: the reverse of application. */
export function orderForDelete(refs: readonly StackRef[]): readonly StackRef[] {
  return refs.toSorted((a, b) => applyRank(b) - applyRank(a));
}

/** A CustomResourceDefinition defines other kinds, so it is first and waited for. */
export function isDefinition(ref: StackRef): boolean {
  return (
    ref.kind === 'CustomResourceDefinition' && groupOf(ref.apiVersion) === 'apiextensions.k8s.io'
  );
}

function applyRank(ref: StackRef): number {
  if (!isBuiltInGroup(groupOf(ref.apiVersion))) return customRank;
  if (/(WebhookConfiguration|AdmissionPolicy|AdmissionPolicyBinding)$/.test(ref.kind)) {
    return webhookRank;
  }
  return rankOfKind.get(ref.kind) ?? customRank;
}

/** Groups of Kubernetes itself have no dot (`apps`) or end in `.k8s.io`; custom ones may not use the first form. */
function isBuiltInGroup(group: string): boolean {
  return !group.includes('.') || group.endsWith('.k8s.io');
}
