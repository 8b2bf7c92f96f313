import type { KubeClient, KubeObject, ListOptions } from '../../src/kube-client/types.ts';

/**
 * A client that reads from a list of objects and does nothing else. An object that is an Error is thrown instead.
 * Objects are found by kind, namespace and name; listed by kind, namespace, equality of labels and `spec.nodeName`.
 */
export function readableObjects(
  objects: readonly (KubeObject | { readonly kind: string; readonly error: Error })[],
): Pick<KubeClient, 'get' | 'list'> {
  return {
    get: async <T extends KubeObject>(ref: Parameters<KubeClient['get']>[0]) => {
      const found = objects.find((object) =>
        'error' in object && object.error instanceof Error
          ? object.kind === ref.resource.kind
          : object.kind === ref.resource.kind &&
            (object as KubeObject).metadata.name === ref.name &&
            (object as KubeObject).metadata.namespace === ref.namespace,
      );
      if (found !== undefined && 'error' in found && found.error instanceof Error)
        throw found.error;
      return found as T | undefined;
    },
    list: async <T extends KubeObject>(
      resource: Parameters<KubeClient['list']>[0],
      options: ListOptions = {},
    ) => {
      const ofKind = objects.filter(({ kind }) => kind === resource.kind) as T[];
      return { items: ofKind.filter((object) => isListed(object, options)), resourceVersion: '1' };
    },
  };
}

function isListed(object: KubeObject, options: ListOptions): boolean {
  const { nodeName } = (object['spec'] ?? {}) as { readonly nodeName?: string };
  const labels = (options.labelSelector ?? '').split(',').filter((pair) => pair !== '');
  return (
    (options.namespace === undefined || object.metadata.namespace === options.namespace) &&
    (options.fieldSelector === undefined ||
      options.fieldSelector === `spec.nodeName=${nodeName}`) &&
    labels.every((pair) => {
      const [key = '', value] = pair.split('=');
      return object.metadata.labels?.[key] === value;
    })
  );
}
