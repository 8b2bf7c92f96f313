import { KubeApiError } from './errors.ts';
import type { ListOptions, ObjectRef, ResourceType } from './types.ts';

/** `/api/v1` or `/apis/apps/v1`: where an API version is served and describes itself. */
export function groupVersionPath(apiVersion: string): string {
  const parts = apiVersion.split('/').map(encodeURIComponent).join('/');
  return apiVersion.includes('/') ? `/apis/${parts}` : `/api/${parts}`;
}

/** The collection of a resource: of one namespace when given, else of all. */
export function collectionPath(resource: ResourceType, namespace?: string): string {
  const scope =
    resource.namespaced && namespace !== undefined
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : '';
  return `${groupVersionPath(resource.apiVersion)}${scope}/${resource.plural}`;
}

/**
 * One object, optionally one of its subresources.
 * @throws KubeApiError 422 for a name that would lead to another place, such as the whole collection.
 * @throws Error when a namespaced resource is named without its namespace: a mistake of the caller.
 */
export function objectPath(ref: ObjectRef, subresource?: string): string {
  if (ref.resource.namespaced && ref.namespace === undefined) {
    throw new Error(`${ref.resource.kind} ${ref.name} needs a namespace`);
  }
  for (const name of [ref.name, ...(ref.namespace === undefined ? [] : [ref.namespace])]) {
    if (!isPathSegment(name)) throw invalidNameError(ref.resource.kind, name);
  }
  const tail = subresource === undefined ? '' : `/${subresource}`;
  return `${collectionPath(ref.resource, ref.namespace)}/${encodeURIComponent(ref.name)}${tail}`;
}

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#path-segment-names */
function isPathSegment(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/%]/.test(name);
}

function invalidNameError(kind: string, name: string): KubeApiError {
  const message = `${kind} "${name}": Invalid value: not a valid name`;
  return new KubeApiError({ code: 422, reason: 'Invalid', message });
}

/** The query of a list or watch, without the question mark; empty when there is none. */
export function listQuery(
  options: ListOptions,
  extra: Readonly<Record<string, string>> = {},
): string {
  const query = new URLSearchParams(extra);
  if (options.labelSelector !== undefined) query.set('labelSelector', options.labelSelector);
  if (options.fieldSelector !== undefined) query.set('fieldSelector', options.fieldSelector);
  return query.toString();
}

export function withQuery(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`;
}
