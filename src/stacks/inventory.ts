import type { KubeObject } from '../kube-client/types.ts';
import { isStackName, refKey } from './refs.ts';
import type { StackOrigin, StackRef } from './types.ts';

/**
 * What a stack has, or may have, in the cluster: kept in the cluster itself, so that it survives restarts, reinstalls and
 * restored snapshots together with the objects. It is written with old and new objects before a change and with the
 * exact ones after it; so whatever moment the power goes, no object is forgotten.
 */
export interface StackInventory {
  readonly name: string;
  readonly origin: StackOrigin;
  readonly refs: readonly StackRef[];
}

/** Marks the ConfigMaps that are inventories. */
export const inventoryLabel = 'mini-k8s.io/stack-inventory';
export const inventoryNamespace = 'kube-system';

export function inventoryName(stack: string): string {
  return `mini-k8s-stack-${stack}`;
}

/** The ConfigMap of an inventory. */
export function encodeInventory(inventory: StackInventory): KubeObject {
  const { name, origin, refs } = inventory;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: inventoryName(name),
      namespace: inventoryNamespace,
      labels: { [inventoryLabel]: name },
    },
    data: { origin, objects: JSON.stringify(sortRefs(refs)) },
  };
}

/** Reads a ConfigMap back; undefined when it is not an inventory that this program wrote. */
export function decodeInventory(object: KubeObject): StackInventory | undefined {
  const name = object.metadata.labels?.[inventoryLabel];
  const data = object['data'] as Readonly<Record<string, string>> | undefined;
  const origin = data?.['origin'];
  if (name === undefined || !isStackName(name)) return undefined;
  if (object.metadata.name !== inventoryName(name)) return undefined;
  if (origin !== 'packaged' && origin !== 'user') return undefined;
  const refs = parseRefs(data?.['objects'] ?? '');
  return refs === undefined ? undefined : { name, origin, refs };
}

/** Everything of both, each once; of two versions of one object the new one. */
export function unionRefs(
  old: readonly StackRef[],
  added: readonly StackRef[],
): readonly StackRef[] {
  return [...new Map([...old, ...added].map((ref) => [refKey(ref), ref])).values()];
}

/** Whether two inventories list the same objects, versions included. */
export function isSameRefs(a: readonly StackRef[], b: readonly StackRef[]): boolean {
  return JSON.stringify(sortRefs(a)) === JSON.stringify(sortRefs(b));
}

function sortRefs(refs: readonly StackRef[]): readonly StackRef[] {
  return refs
    .map(({ apiVersion, kind, namespace, name }) => ({
      apiVersion,
      kind,
      ...(namespace === undefined ? {} : { namespace }),
      name,
    }))
    .toSorted((a, b) => (refKey(a) < refKey(b) ? -1 : 1));
}

function parseRefs(text: string): readonly StackRef[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(isRef) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isRef(value: unknown): value is StackRef {
  if (typeof value !== 'object' || value === null) return false;
  const { apiVersion, kind, name, namespace } = value as Record<string, unknown>;
  const isText = (field: unknown) => typeof field === 'string' && field !== '';
  return [apiVersion, kind, name].every(isText) && (namespace === undefined || isText(namespace));
}
