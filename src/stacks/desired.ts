import { UserError } from '../base/errors.ts';
import type { KubeObject } from '../kube-client/types.ts';
import { isDefinition, orderForApply } from './order.ts';
import { describeRef, groupKind, refKey, stackLabel } from './refs.ts';
import type { DesiredObject, DesiredStack, ManifestStack, StackOrigin, StackRef } from './types.ts';

/** Fields that the server sets: exported manifests carry them, an apply with them is refused or pinned to a version. */
const serverFields = new Set([
  'creationTimestamp',
  'deletionTimestamp',
  'generation',
  'managedFields',
  'resourceVersion',
  'selfLink',
  'uid',
]);

/**
 * A stack ready to be sent: labelled, in order, each object once.
 * @throws UserError when an object is there twice or lacks a kind, version or name.
 */
export function desiredStack(stack: ManifestStack, origin: StackOrigin): DesiredStack {
  const objects = stack.objects.map((object) => desiredObject(stack.name, object));
  refuseDuplicates(stack.name, objects);
  return { name: stack.name, origin, objects: orderForApply(objects) };
}

function desiredObject(stack: string, object: KubeObject): DesiredObject {
  const { apiVersion, kind } = object;
  const metadata = Object.fromEntries(
    Object.entries(object.metadata).filter(([field]) => !serverFields.has(field)),
  );
  const labels = { ...object.metadata.labels, [stackLabel]: stack };
  const ref = refOf(apiVersion, kind, object.metadata);
  const body = JSON.stringify({ ...object, metadata: { ...metadata, labels } });
  return { ref, key: refKey(ref), body };
}

function refOf(
  apiVersion: string,
  kind: string,
  metadata: { readonly name: string; readonly namespace?: string },
): StackRef {
  const { name, namespace } = metadata;
  return { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

/**
 * Gives namespaced objects without a namespace `default`, and takes it away from cluster-wide ones.
 * `scopes` says by `groupKind` whether a kind is namespaced; the kinds it does not know stay as they are.
 * @throws UserError when an object is there twice, once with and once without its namespace.
 */
export function resolveNamespaces(
  stack: DesiredStack,
  scopes: ReadonlyMap<string, boolean>,
): DesiredStack {
  const objects = stack.objects.map((object) => {
    const namespaced = scopes.get(groupKind(object.ref));
    if (namespaced === undefined) return object;
    const { namespace, ...rest } = object.ref;
    if (namespaced === (namespace !== undefined)) return object;
    const ref = namespaced ? { ...rest, namespace: 'default' } : rest;
    return { ref, key: refKey(ref), body: namespaced ? object.body : withoutNamespace(object) };
  });
  refuseDuplicates(stack.name, objects);
  return { ...stack, objects };
}

function withoutNamespace(object: DesiredObject): string {
  const parsed = JSON.parse(object.body) as KubeObject;
  const { namespace: _, ...metadata } = parsed.metadata;
  return JSON.stringify({ ...parsed, metadata });
}

/** The scopes of the kinds that a stack itself defines, before the server knows them. */
export function declaredScopes(stack: DesiredStack): Map<string, boolean> {
  const scopes = new Map<string, boolean>();
  for (const object of stack.objects.filter(({ ref }) => isDefinition(ref))) {
    const { spec } = JSON.parse(object.body) as { spec?: DefinitionSpec };
    const kind = spec?.names?.kind;
    if (spec?.group === undefined || kind === undefined) continue;
    scopes.set(groupKind({ apiVersion: `${spec.group}/x`, kind }), spec.scope === 'Namespaced');
  }
  return scopes;
}

interface DefinitionSpec {
  readonly group?: string;
  readonly scope?: string;
  readonly names?: { readonly kind?: string };
}

/** Whether two stacks would be sent alike. */
export function isSameStack(a: DesiredStack | undefined, b: DesiredStack): boolean {
  return (
    a !== undefined &&
    a.objects.length === b.objects.length &&
    a.objects.every((object, index) => object.body === b.objects[index]?.body)
  );
}

function refuseDuplicates(stack: string, objects: readonly DesiredObject[]): void {
  const seen = new Set<string>();
  for (const { key, ref } of objects) {
    if (seen.has(key)) {
      throw new UserError({
        what: `use stack ${stack}`,
        why: `${describeRef(ref)} is in it twice`,
        fix: 'remove one of the two',
      });
    }
    seen.add(key);
  }
}
