import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { KubeApiError } from '../kube-client/errors.ts';
import type { KubeClient } from '../kube-client/types.ts';
import type { NodeWatcher } from './cluster-routes.ts';
import type { NodeObject } from './resources.ts';
import { nodeHostname } from './routed.ts';

export interface HostnameCheckOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Says, once, of each node that its host name is not its own: kube-apiserver sends what is meant for the node to that
 * name. In the log, and as an Event for `kubectl describe node`.
 */
export function createHostnameCheck(options: HostnameCheckOptions): NodeWatcher {
  const flagged = new Map<string, string>();
  return {
    onNode: (node) => {
      const { name } = node.metadata;
      const hostname = nodeHostname(node)?.toLowerCase();
      if (hostname === undefined || hostname === name) flagged.delete(name);
      else if (flagged.get(name) !== hostname) {
        flagged.set(name, hostname);
        flag(options, node, hostname);
      }
    },
    onNodeDeleted: (name) => flagged.delete(name),
  };
}

function flag({ client, logger, clock }: HostnameCheckOptions, node: NodeObject, hostname: string) {
  const { name, uid } = node.metadata;
  const message = `node ${name} reports the host name ${hostname}: requests for it are refused, since they would go to the wrong node`;
  logger.warn(message);
  const at = new Date(clock.now()).toISOString().replace(/\.\d+/, '');
  client
    .create({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.hostname-${clock.now().toString(16)}`, namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name, uid },
      type: 'Warning',
      reason: 'HostnameMismatch',
      message,
      source: { component: 'mini-k8s' },
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
    })
    .catch((error: unknown) => {
      if (error instanceof KubeApiError && error.code === 409) return;
      logger.debug(`event for node ${name}: ${errorMessage(error)}`);
    });
}
