import type { KubeClient, ObjectRef, ResourceType } from '../kube-client/types.ts';
import {
  decodeInventory,
  encodeInventory,
  inventoryLabel,
  inventoryName,
  inventoryNamespace,
  type StackInventory,
} from './inventory.ts';
import { fieldManager } from './refs.ts';

const configMaps: ResourceType = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};

export interface LoadedInventories {
  readonly inventories: readonly StackInventory[];
  /** Names of ConfigMaps that carry the label but cannot be read. */
  readonly unreadable: readonly string[];
}

/** All inventories that the cluster has. */
export async function loadInventories(
  client: KubeClient,
  signal: AbortSignal,
): Promise<LoadedInventories> {
  const { items } = await client.list(configMaps, {
    namespace: inventoryNamespace,
    labelSelector: inventoryLabel,
    signal,
  });
  const decoded = items.map((item) => ({ item, inventory: decodeInventory(item) }));
  return {
    inventories: decoded.flatMap(({ inventory }) => inventory ?? []),
    unreadable: decoded
      .filter(({ inventory }) => inventory === undefined)
      .map(({ item }) => item.metadata.name),
  };
}

export async function writeInventory(
  client: KubeClient,
  inventory: StackInventory,
  signal: AbortSignal,
): Promise<void> {
  await client.apply(encodeInventory(inventory), { fieldManager, force: true, signal });
}

export async function deleteInventory(
  client: KubeClient,
  stack: string,
  signal: AbortSignal,
): Promise<void> {
  const ref: ObjectRef = {
    resource: configMaps,
    name: inventoryName(stack),
    namespace: inventoryNamespace,
  };
  await client.delete(ref, signal);
}
