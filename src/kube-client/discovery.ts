import { KubeApiError } from './errors.ts';
import { groupVersionPath } from './paths.ts';
import type { ResourceType } from './types.ts';

/** Finds resource types by asking the server once per API version. */
export interface Discovery {
  find(apiVersion: string, kind: string, signal?: AbortSignal): Promise<ResourceType | undefined>;
  /** Forget an API version: one of its resources turned out not to be served. */
  forget(apiVersion: string): void;
}

/** The part of APIResourceList that is read. @see https://kubernetes.io/docs/concepts/overview/kubernetes-api/ */
interface ApiResourceList {
  readonly resources?: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
  }[];
}

type GetJson = <T>(path: string, signal?: AbortSignal) => Promise<T>;

/** A kind that is not in the cache is asked for again each time: its CustomResourceDefinition may just have come. */
export function createDiscovery(getJson: GetJson): Discovery {
  const cache = new Map<string, readonly ResourceType[]>();
  return {
    async find(apiVersion, kind, signal) {
      const known = cache.get(apiVersion)?.find((resource) => resource.kind === kind);
      if (known !== undefined) return known;
      const resources = await fetchResources(getJson, apiVersion, signal);
      cache.set(apiVersion, resources);
      return resources.find((resource) => resource.kind === kind);
    },
    forget: (apiVersion) => cache.delete(apiVersion),
  };
}

async function fetchResources(
  getJson: GetJson,
  apiVersion: string,
  signal: AbortSignal | undefined,
): Promise<readonly ResourceType[]> {
  try {
    const list = await getJson<ApiResourceList>(groupVersionPath(apiVersion), signal);
    return resourceTypes(apiVersion, list);
  } catch (error) {
    if (error instanceof KubeApiError && error.code === 404) return [];
    throw error;
  }
}

/** Subresources (`deployments/scale`) share the list and are left out. */
function resourceTypes(apiVersion: string, list: ApiResourceList): readonly ResourceType[] {
  return (list.resources ?? [])
    .filter((resource) => !resource.name.includes('/'))
    .map(({ name, kind, namespaced }) => ({ apiVersion, kind, plural: name, namespaced }));
}
