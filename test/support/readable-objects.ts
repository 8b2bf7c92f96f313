import type { KubeClient, KubeObject } from '../../src/kube-client/types.ts';

/**
 * A client that reads from a list of objects and does nothing else. An object that is an Error is thrown instead.
 * Objects are found by kind, namespace and name.
 */
export function readableObjects(
  objects: readonly (KubeObject | { readonly kind: string; readonly error: Error })[],
): Pick<KubeClient, 'get'> {
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
  };
}
