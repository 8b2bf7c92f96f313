import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { KubeClient, ResourceEvent } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import { type ConfigMapObject, configMapResource, joinNamespace } from './config-map.ts';
import { parseRecord, removedLabel } from './join-records.ts';

/** The nodes that `node remove` took out and that did not join again: their certificates are good for months. */
export interface RemovedNodes {
  /** At once, from memory: a thousand agents may ask in one second. */
  isRemoved(nodeName: string): boolean;
  /** Follows the records until aborted. */
  run(signal: AbortSignal): Promise<void>;
}

export interface RemovedNodesOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  /** Told of each that is new in the list; at the first look of all. */
  readonly onRemoved: (nodeName: string) => void;
}

export function createRemovedNodes(options: RemovedNodesOptions): RemovedNodes {
  const { client, logger, onRemoved } = options;
  const names = new Set<string>();
  return {
    isRemoved: (nodeName) => names.has(nodeName),
    async run(signal) {
      const events = watchResource<ConfigMapObject>(client, configMapResource, {
        namespace: joinNamespace,
        // A record that loses the label, because its machine joined again, comes as DELETED.
        labelSelector: `${removedLabel}=true`,
        signal,
        onError: (error, retryInMs) =>
          logger.debug(`watching removed nodes: ${errorMessage(error)}`, { retryInMs }),
      });
      for await (const event of events) {
        for (const nodeName of take(names, event)) onRemoved(nodeName);
      }
    },
  };
}

/** Brings the list up to date. Returns what is new in it. */
function take(names: Set<string>, event: ResourceEvent<ConfigMapObject>): string[] {
  const found = namesIn(event.type === 'SYNCED' ? event.items : [event.object]);
  if (event.type === 'DELETED') {
    for (const name of found) names.delete(name);
    return [];
  }
  const added = found.filter((name) => !names.has(name));
  if (event.type === 'SYNCED') names.clear();
  for (const name of found) names.add(name);
  return added;
}

function namesIn(objects: readonly ConfigMapObject[]): string[] {
  return objects.flatMap((object) => parseRecord(object)?.nodeName ?? []);
}
