import type { KubeObject, ObjectRef, ResourceType } from '../../src/kube-client/types.ts';

export const configMaps = coreResource('ConfigMap', 'configmaps');
export const secrets = coreResource('Secret', 'secrets');

function coreResource(kind: string, plural: string): ResourceType {
  return { apiVersion: 'v1', kind, plural, namespaced: true };
}

export function configMap(name: string, data: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data };
}

export function configMapRef(name: string): ObjectRef {
  return { resource: configMaps, name, namespace: 'default' };
}
