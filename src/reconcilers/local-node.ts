import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { watchResource } from '../kube-client/watch-resource.ts';
import { type NodeObject, nodeResource } from './resources.ts';

/** Something that follows from this node's Node object. */
export interface NodeObserver {
  /** For the log. */
  readonly name: string;
  /**
   * Makes true what follows from `node`; undefined while there is none. Idempotent: it is called for every change and,
   * after an error, again.
   */
  reconcile(node: NodeObject | undefined, signal: AbortSignal): Promise<void>;
}

export interface LocalNodeOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  readonly logger: Logger;
  /** They share one watch and do not wait for each other. */
  readonly observers: readonly NodeObserver[];
}

const firstRetryMs = 500;
const maxRetryMs = 30_000;

/** Watches this node's Node object and calls the observers with the newest one. Runs until aborted. */
export async function runLocalNode(options: LocalNodeOptions, signal: AbortSignal): Promise<void> {
  const { client, nodeName, logger } = options;
  const feeds = options.observers.map((observer) => startFeed(observer, logger, signal));
  const events = watchResource<NodeObject>(client, nodeResource, {
    fieldSelector: `metadata.name=${nodeName}`,
    signal,
    onError: (error, retryInMs) =>
      logger.debug(`watching node ${nodeName}: ${errorMessage(error)}`, { retryInMs }),
  });
  for await (const event of events) {
    const node = event.type === 'SYNCED' ? event.items[0] : event.object;
    const current = event.type === 'DELETED' ? undefined : node;
    for (const feed of feeds) feed.push(current);
  }
  await Promise.all(feeds.map((feed) => feed.done));
}

interface Feed {
  push(node: NodeObject | undefined): void;
  /** Resolves after the abort, when nothing runs any more. */
  readonly done: Promise<void>;
}

/** Calls one observer with the newest Node, never twice at a time; what came meanwhile is skipped but for the last. */
function startFeed(observer: NodeObserver, logger: Logger, signal: AbortSignal): Feed {
  let newest: { readonly node: NodeObject | undefined } | undefined;
  let notice = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => notice.resolve(), { once: true });

  async function follow(): Promise<void> {
    let retryMs = firstRetryMs;
    while (!signal.aborted) {
      const work = newest;
      if (work === undefined) {
        await notice.promise;
        notice = Promise.withResolvers<void>();
        continue;
      }
      try {
        await observer.reconcile(work.node, signal);
        if (newest === work) newest = undefined;
        retryMs = firstRetryMs;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn(`${observer.name}: ${errorMessage(error)}`, { retryInMs: retryMs });
        await sleep(retryMs, signal).catch(() => {});
        retryMs = Math.min(retryMs * 2, maxRetryMs);
      }
    }
  }

  return {
    push: (node) => {
      newest = { node };
      notice.resolve();
    },
    done: follow(),
  };
}
