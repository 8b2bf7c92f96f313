import { KubeApiError } from '../kube-client/errors.ts';
import type { KubeClient, KubeObject, ObjectRef, ResourceType } from '../kube-client/types.ts';

export const configMapResource: ResourceType = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};

/** Where everything of this room lies. */
export const joinNamespace = 'kube-system';

export const managedByLabel = { 'app.kubernetes.io/managed-by': 'mini-k8s' } as const;

export interface ConfigMapObject extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** What a ConfigMap is to hold; labels of others stay. */
export interface ConfigMapContent {
  readonly labels: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

/** More writers than this at one object at one time mean that something is wrong. */
const maxAttempts = 20;

export function configMapRef(name: string): ObjectRef {
  return { resource: configMapResource, name, namespace: joinNamespace };
}

/**
 * Reads, changes and writes one ConfigMap as one step: when another writer came between, it begins again.
 * @param change gets what is there; undefined leaves it as it is. What it throws is thrown.
 */
export async function updateConfigMap(
  client: KubeClient,
  name: string,
  change: (current: ConfigMapObject | undefined) => ConfigMapContent | undefined,
  signal?: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const current = await client.get<ConfigMapObject>(configMapRef(name), signal);
    const wanted = change(current);
    if (wanted === undefined) return;
    try {
      await write(client, { name, current, wanted }, signal);
      return;
    } catch (error) {
      // Gone (404) or changed (409) since it was read.
      const isRace = error instanceof KubeApiError && (error.code === 409 || error.code === 404);
      if (!isRace || attempt === maxAttempts) throw error;
    }
  }
}

interface Write {
  readonly name: string;
  readonly current: ConfigMapObject | undefined;
  readonly wanted: ConfigMapContent;
}

async function write(
  client: KubeClient,
  { name, current, wanted }: Write,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { labels, data } = wanted;
  const identity = { apiVersion: 'v1', kind: 'ConfigMap' } as const;
  if (current === undefined) {
    const metadata = { name, namespace: joinNamespace, labels: { ...managedByLabel, ...labels } };
    await client.create({ ...identity, metadata, data }, signal);
    return;
  }
  const metadata = { ...current.metadata, labels: { ...current.metadata.labels, ...labels } };
  await client.replace({ ...current, ...identity, metadata, data }, undefined, signal);
}
