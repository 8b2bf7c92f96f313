import { errorMessage } from '../base/errors.ts';
import { renderHostPort } from '../base/host-port.ts';
import type { Logger } from '../base/logger.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';

export interface FollowApiServersOptions {
  /** Through the balancer itself. */
  readonly client: KubeClient;
  /** Called with every server that the API names, `host:port`, each time the list is read or changes. */
  readonly publish: (servers: readonly string[]) => void;
  readonly logger: Logger;
}

const endpointSlices: ResourceType = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  namespaced: true,
};

/** @see https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/ */
interface ApiServerSlice extends KubeObject {
  readonly endpoints?:
    | readonly {
        readonly addresses: readonly string[];
        readonly conditions?: { readonly ready?: boolean };
      }[]
    | null;
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[] | null;
}

/**
 * Watches the EndpointSlice `default/kubernetes`, in which every kube-apiserver keeps its own address, until aborted.
 * Asks for that one object only: a node needs no permission for others.
 */
export async function followApiServers(
  options: FollowApiServersOptions,
  signal: AbortSignal,
): Promise<void> {
  const { client, publish, logger } = options;
  const events = watchResource<ApiServerSlice>(client, endpointSlices, {
    namespace: 'default',
    fieldSelector: 'metadata.name=kubernetes',
    signal,
    onError: (error, retryInMs) =>
      logger.debug(`watching the list of API servers: ${errorMessage(error)}`, { retryInMs }),
  });
  for await (const event of events) {
    const slices = event.type === 'SYNCED' ? event.items : [event.object];
    // Without the object nobody is known to have gone: it is made again by the next API server that starts.
    if (event.type !== 'DELETED') publish(slices.flatMap(apiServersOf));
  }
}

/** `host:port` of the endpoints that are ready. Pure. */
export function apiServersOf(slice: ApiServerSlice): string[] {
  const port = (slice.ports ?? []).find(({ name }) => name === 'https' || name === undefined)?.port;
  if (port === undefined) return [];
  return (slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) => addresses)
    .map((host) => renderHostPort({ host, port }));
}
