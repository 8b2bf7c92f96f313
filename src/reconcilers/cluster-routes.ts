import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import { createHostnameCheck } from './hostname-check.ts';
import {
  type EndpointSliceObject,
  endpointSliceResource,
  type NodeObject,
  nodeResource,
} from './resources.ts';
import { type RoutedEndpoint, type RoutedNode, routedEndpoints, routedNode } from './routed.ts';

/** Where the routes go: the tunnel's `ClusterRoutes`. */
export interface RouteSink {
  replaceNodes(nodes: readonly RoutedNode[]): void;
  setNode(node: RoutedNode): void;
  deleteNode(name: string): void;
  setSlice(slice: string, endpoints: readonly RoutedEndpoint[]): void;
  deleteSlice(slice: string): void;
  retainSlices(slices: ReadonlySet<string>): void;
}

/** Something else that follows from the Nodes; they share the watch. Neither call may block or throw. */
export interface NodeWatcher {
  /** Each Node at first and after each change. It is not to be kept: a Node is large. */
  readonly onNode?: (node: NodeObject) => void;
  /** A Node that was there, under watch or while the watch was broken, is gone. */
  readonly onNodeDeleted?: (nodeName: string) => void;
}

export interface ClusterRoutesWatchOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly routes: RouteSink;
  readonly watchers: readonly NodeWatcher[];
}

interface Run extends ClusterRoutesWatchOptions {
  readonly signal: AbortSignal;
  readonly names: Set<string>;
}

/**
 * Fills the routing table from the Nodes and EndpointSlices of the cluster until aborted. Of each object only what
 * routing asks for is kept, and of the slices nothing that a Node's pod network explains.
 */
export async function runClusterRoutes(
  options: ClusterRoutesWatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const hostnames = createHostnameCheck(options);
  const run: Run = {
    ...options,
    watchers: [...options.watchers, hostnames],
    signal,
    names: new Set(),
  };
  const nodesRead = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => nodesRead.resolve(), { once: true });
  await Promise.all([
    watchNodes(run, nodesRead.resolve),
    // Before the pod networks are known, every endpoint would look like one to be kept.
    nodesRead.promise.then(() => watchSlices(run)),
  ]);
}

async function watchNodes(run: Run, onRead: () => void): Promise<void> {
  const { client, signal, routes } = run;
  const events = watchResource<NodeObject>(client, nodeResource, {
    signal,
    onError: logError(run, 'nodes'),
  });
  for await (const event of events) {
    if (event.type === 'SYNCED') {
      takeAll(run, event.items);
      onRead();
    } else if (event.type === 'DELETED') {
      routes.deleteNode(event.object.metadata.name);
      forget(run, event.object.metadata.name);
    } else {
      routes.setNode(routedNode(event.object));
      tell(run, event.object);
    }
  }
}

function takeAll(run: Run, nodes: readonly NodeObject[]): void {
  run.routes.replaceNodes(nodes.map(routedNode));
  const present = new Set(nodes.map(({ metadata }) => metadata.name));
  for (const name of [...run.names]) if (!present.has(name)) forget(run, name);
  for (const node of nodes) tell(run, node);
}

function tell({ watchers, names }: Run, node: NodeObject): void {
  names.add(node.metadata.name);
  for (const watcher of watchers) watcher.onNode?.(node);
}

function forget({ watchers, names }: Run, nodeName: string): void {
  names.delete(nodeName);
  for (const watcher of watchers) watcher.onNodeDeleted?.(nodeName);
}

async function watchSlices(run: Run): Promise<void> {
  const { client, signal, routes } = run;
  const events = watchResource<EndpointSliceObject>(client, endpointSliceResource, {
    signal,
    onError: logError(run, 'endpoint slices'),
  });
  for await (const event of events) {
    if (event.type === 'SYNCED') {
      routes.retainSlices(new Set(event.items.map(sliceKey)));
      for (const slice of event.items) routes.setSlice(sliceKey(slice), routedEndpoints(slice));
    } else if (event.type === 'DELETED') {
      routes.deleteSlice(sliceKey(event.object));
    } else {
      routes.setSlice(sliceKey(event.object), routedEndpoints(event.object));
    }
  }
}

function sliceKey({ metadata }: EndpointSliceObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function logError({ logger }: Run, what: string) {
  return (error: unknown, retryInMs: number) =>
    logger.debug(`watching ${what}: ${errorMessage(error)}`, { retryInMs });
}
