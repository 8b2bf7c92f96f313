import { KubeApiError } from '../kube-client/errors.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube-client/types.ts';
import type { LiveView } from './plan.ts';
import { fieldManager, groupKind, refKey, stackLabel } from './refs.ts';
import type { LiveObject, StackRef } from './types.ts';

/**
 * Asks, once per kind, for the metadata of all objects that carry the stack label: a dozen small answers from the
 * server's cache, where applying every object again would cost it ten times as much.
 * @throws KubeConnectionError without an answer, the signal's reason when aborted.
 */
export async function observe(
  client: KubeClient,
  refs: readonly StackRef[],
  signal: AbortSignal,
): Promise<LiveView> {
  const objects = new Map<string, LiveObject>();
  const unlisted = new Set<string>();
  const unserved = new Set<string>();
  for (const [kind, ref] of new Map(refs.toReversed().map((ref) => [groupKind(ref), ref]))) {
    try {
      const list = await listKind(client, ref, signal);
      if (list === undefined) unserved.add(kind);
      for (const live of list ?? []) objects.set(refKey(live.ref), live);
    } catch (error) {
      if (!(error instanceof KubeApiError)) throw error;
      if (error.code === 404) unserved.add(kind);
      else unlisted.add(kind);
    }
  }
  return { objects, unlisted, unserved };
}

async function listKind(
  client: KubeClient,
  { apiVersion, kind }: StackRef,
  signal: AbortSignal,
): Promise<readonly LiveObject[] | undefined> {
  const resource = await client.discover(apiVersion, kind, signal);
  if (resource === undefined) return undefined;
  const options = { labelSelector: stackLabel, metadataOnly: true, signal };
  const { items } = await client.list(resource, options);
  return items.map((item) => liveObject(resource, item));
}

function liveObject(resource: ResourceType, item: KubeObject): LiveObject {
  const { name, namespace, labels, uid, resourceVersion } = item.metadata;
  const { apiVersion, kind } = resource;
  return {
    ref: { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) },
    stack: labels?.[stackLabel] ?? '',
    uid: uid ?? '',
    resourceVersion: resourceVersion ?? '',
    appliedAt: appliedAt(item),
  };
}

/** The server moves this time only when an apply of ours changed something. */
export function appliedAt(object: KubeObject): string | undefined {
  const entries = object.metadata['managedFields'];
  if (!Array.isArray(entries)) return undefined;
  const ours = (entries as readonly Readonly<Record<string, unknown>>[]).find(
    (entry) =>
      entry['manager'] === fieldManager &&
      entry['operation'] === 'Apply' &&
      entry['subresource'] === undefined,
  );
  return typeof ours?.['time'] === 'string' ? ours['time'] : undefined;
}
