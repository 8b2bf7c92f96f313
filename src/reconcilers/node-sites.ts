import { createHash } from 'node:crypto';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import type { KubeClient, KubeObject } from '../kube-client/types.ts';
import type { NodeWatcher } from './cluster-routes.ts';
import { type NodeObject, nodeResource, podResource } from './resources.ts';

/** Where a node is; the same shape as the join room's `NodeSite`. */
export interface Site {
  /** A label value. */
  readonly name: string;
  readonly isBehindNat: boolean;
}

export interface NodeSitesOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  /** Undefined for a node of which nothing is known (yet): its labels stay as they are. */
  readonly siteOf: (nodeName: string) => Site | undefined;
}

export interface NodeSites {
  /** For `runClusterRoutes`. */
  readonly watcher: NodeWatcher;
  /** Looks at a node again because `siteOf` has another answer for it. */
  recheck(nodeName: string): void;
  /** Writes labels until aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/** Where no address translation lies between a node and the controllers. */
export const mainSite: Site = { name: 'main', isBehindNat: false };

/**
 * Of our own and of no other writer of Nodes in this program: server-side apply takes back what the same manager had
 * set and does not name any more.
 */
const siteFieldManager = 'mini-k8s-sites';
const natLabel = 'mini-k8s.io/behind-nat';
const zoneLabel = 'topology.kubernetes.io/zone';
const asnAnnotation = 'kube-router.io/node.asn';
/** There from the change of a node's AS number until its kube-router, which reads the number once, was ended for it. */
const restartAnnotation = 'mini-k8s.io/kube-router-restart';
/** Private AS numbers of 32 bits. @see https://www.rfc-editor.org/rfc/rfc6996 */
const firstAsn = 4_200_000_000;
const asnCount = 94_967_294;
/** A Node that has just registered changes several times a second: most failures are such conflicts. */
const firstRetryMs = 100;
const maxRetryMs = 30_000;

/** Labels each Node with its site and annotates it with the AS number by which kube-router finds its peers. */
export function createNodeSites(options: NodeSitesOptions): NodeSites {
  const waiting = new Set<string>();
  let notice = Promise.withResolvers<void>();
  const recheck = (nodeName: string) => {
    waiting.add(nodeName);
    notice.resolve();
  };
  return {
    watcher: {
      onNode: (node) => {
        const site = options.siteOf(node.metadata.name);
        if (site !== undefined && planNodeSite(node, site) !== undefined) {
          recheck(node.metadata.name);
        }
      },
      onNodeDeleted: (nodeName) => waiting.delete(nodeName),
    },
    recheck,
    run: async (signal) => {
      let retryMs = firstRetryMs;
      signal.addEventListener('abort', () => notice.resolve(), { once: true });
      while (!signal.aborted) {
        const [nodeName] = waiting;
        if (nodeName === undefined) {
          await notice.promise;
          notice = Promise.withResolvers<void>();
          continue;
        }
        waiting.delete(nodeName);
        if (await ensureNodeSite(options, nodeName, signal)) {
          retryMs = firstRetryMs;
          continue;
        }
        // At the end of the queue: a node whose labels are refused holds up nobody else's for long.
        waiting.add(nodeName);
        await sleep(retryMs, signal).catch(() => {});
        retryMs = Math.min(retryMs * 2, maxRetryMs);
      }
    },
  };
}

/** False when it failed and is to be tried again. */
async function ensureNodeSite(
  { client, logger, siteOf }: NodeSitesOptions,
  nodeName: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const site = siteOf(nodeName);
    if (site === undefined) return true;
    const node = await client.get<NodeObject>({ resource: nodeResource, name: nodeName }, signal);
    const wanted = node === undefined ? undefined : planNodeSite(node, site);
    if (wanted === undefined) return true;
    const apply = (object: KubeObject) =>
      client.apply<NodeObject>(object, { fieldManager: siteFieldManager, force: true, signal });
    const applied = await apply(wanted);
    if (wantsRestart(applied)) {
      await endKubeRouter(client, nodeName, signal);
      await apply(withoutRestart(wanted, applied));
    }
    logger.info(`node ${nodeName} is at site ${site.name}`);
    return true;
  } catch (error) {
    if (!signal.aborted) logger.debug(`site of node ${nodeName}: ${errorMessage(error)}`);
    return false;
  }
}

/** Its DaemonSet starts another, which reads the node's number anew. */
async function endKubeRouter(client: KubeClient, nodeName: string, signal: AbortSignal) {
  const { items } = await client.list(podResource, {
    namespace: 'kube-system',
    labelSelector: 'k8s-app=kube-router',
    fieldSelector: `spec.nodeName=${nodeName}`,
    signal,
  });
  for (const { metadata } of items) {
    const { name, namespace = 'kube-system', uid } = metadata;
    const preconditions = uid === undefined ? {} : { uid };
    await client.delete({ resource: podResource, namespace, name }, signal, preconditions);
  }
}

function wantsRestart({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[restartAnnotation] !== undefined;
}

function withoutRestart(wanted: KubeObject, applied: KubeObject): KubeObject {
  const { [restartAnnotation]: _done, ...annotations } = wanted.metadata.annotations ?? {};
  const { resourceVersion } = applied.metadata;
  return {
    ...wanted,
    metadata: {
      ...wanted.metadata,
      annotations,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

/** What is to be applied to the Node so that it says where it is; undefined when it says so already. Pure. */
export function planNodeSite(node: NodeObject, site: Site): KubeObject | undefined {
  const { name, uid, resourceVersion } = node.metadata;
  const present = node.metadata.labels ?? {};
  // A user's own zone is never overwritten.
  const setsZone = !(zoneLabel in present) || isOurs(node, zoneLabel);
  const labels: Record<string, string> = {
    'mini-k8s.io/site': site.name,
    ...(site.isBehindNat ? { [natLabel]: 'true' } : {}),
    ...(setsZone ? { [zoneLabel]: site.name } : {}),
  };
  const asn = String(siteAsn(site.name));
  const before = node.metadata.annotations ?? {};
  const isMoved = before[asnAnnotation] !== undefined && before[asnAnnotation] !== asn;
  const annotations: Record<string, string> = {
    [asnAnnotation]: asn,
    ...(isMoved || wantsRestart(node) ? { [restartAnnotation]: 'true' } : {}),
  };
  const isStale = !site.isBehindNat && natLabel in present && isOurs(node, natLabel);
  const isThere =
    Object.entries(labels).every(([key, value]) => present[key] === value) &&
    Object.entries(annotations).every(([key, value]) => before[key] === value);
  if (isThere && !isStale && !wantsRestart(node)) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    // With the uid no deleted Node is created again, with the version no zone of a user's is taken over by a race.
    metadata: {
      name,
      labels,
      annotations,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

/** AS number of a site: the same on every controller and after every restart. Pure. */
export function siteAsn(siteName: string): number {
  if (siteName === mainSite.name) return firstAsn;
  const hash = createHash('sha256').update(siteName).digest().readUInt32BE(0);
  return firstAsn + Math.max(1, hash % asnCount);
}

interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly fieldsV1?: {
    readonly 'f:metadata'?: { readonly 'f:labels'?: Readonly<Record<string, unknown>> };
  };
}

/** Whether this reconciler has set the label, and nobody has changed it since. */
function isOurs({ metadata }: NodeObject, label: string): boolean {
  return ((metadata['managedFields'] ?? []) as readonly ManagedFields[]).some(
    ({ manager, operation, fieldsV1 }) =>
      manager === siteFieldManager &&
      operation === 'Apply' &&
      fieldsV1?.['f:metadata']?.['f:labels']?.[`f:${label}`] !== undefined,
  );
}
