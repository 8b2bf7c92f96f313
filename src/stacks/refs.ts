import type { StackRef } from './types.ts';

/** Names the stack that an object belongs to. */
export const stackLabel = 'mini-k8s.io/stack';
/** Owner of the fields that stacks set. @see https://kubernetes.io/docs/reference/using-api/server-side-apply/ */
export const fieldManager = 'mini-k8s';

/** `apps Deployment`: what identifies a kind. The version is left out, so a manifest may move from v1beta1 to v1. */
export function groupKind(ref: Pick<StackRef, 'apiVersion' | 'kind'>): string {
  return `${groupOf(ref.apiVersion)} ${ref.kind}`;
}

export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}

/** Equal for two references exactly when they mean the same object. */
export function refKey(ref: StackRef): string {
  return `${groupKind(ref)} ${ref.namespace ?? ''}/${ref.name}`;
}

/** `Deployment kube-system/coredns`, for people. */
export function describeRef(ref: StackRef): string {
  return `${ref.kind} ${ref.namespace === undefined ? '' : `${ref.namespace}/`}${ref.name}`;
}

/** A DNS-1123 label: what a stack's name must be, since it becomes a label value and part of a name. */
export function isStackName(name: string): boolean {
  return name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name);
}

/** Namespaces that belong to Kubernetes: a stack may label them but never deletes them. */
export function isProtected(ref: StackRef): boolean {
  const system = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];
  return ref.kind === 'Namespace' && groupOf(ref.apiVersion) === '' && system.includes(ref.name);
}
