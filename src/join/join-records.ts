import type { KubeClient } from '../kube-client/types.ts';
import {
  type ConfigMapContent,
  type ConfigMapObject,
  configMapRef,
  configMapResource,
  joinNamespace,
  updateConfigMap,
} from './config-map.ts';
import type { NodeSite } from './types.ts';

/** What the controllers remember of a node that joined: ConfigMap `kube-system/mini-k8s-node-<name>`. */
export interface JoinRecord {
  readonly nodeName: string;
  readonly machineId: string;
  readonly bootId: string;
  /** The one before: when it comes back, two machines use one identity. */
  readonly previousBootId?: string;
  /** Of the token that let it in. */
  readonly tokenId: string;
  /** ISO 8601, of the last join by token. */
  readonly joinedAt: string;
  readonly addresses: readonly string[];
  readonly site: NodeSite;
  /** ISO 8601, of the last request; written once an hour at most, unless something else changed. */
  readonly lastSeen: string;
  /** ISO 8601, of `node remove`; a fresh token clears it. */
  readonly removedAt?: string;
}

export interface JoinRecords {
  get(nodeName: string, signal?: AbortSignal): Promise<JoinRecord | undefined>;
  list(signal?: AbortSignal): Promise<readonly JoinRecord[]>;
  /**
   * Changes one record as one step; `change` is called again when another controller came between.
   * @param change undefined leaves the record as it is; what it throws is thrown.
   */
  update(
    nodeName: string,
    change: (current: JoinRecord | undefined) => JoinRecord | undefined,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Also of a node that has no record: its name is refused from now on. */
  markRemoved(nodeName: string, nowMs: number, signal?: AbortSignal): Promise<void>;
}

/** Every record has the first label; `'true'` or `'false'` in the second is what admission policies and watches select by. */
export const recordLabel = 'mini-k8s.io/join-record';
export const removedLabel = 'mini-k8s.io/removed';

const namePrefix = 'mini-k8s-node-';

/** Name of the ConfigMap of a node's record. */
export function recordName(nodeName: string): string {
  return `${namePrefix}${nodeName}`;
}

export function createJoinRecords(client: KubeClient): JoinRecords {
  const update: JoinRecords['update'] = (nodeName, change, signal) =>
    updateConfigMap(
      client,
      recordName(nodeName),
      (object) => {
        const wanted = change(parseRecord(object));
        return wanted === undefined ? undefined : renderRecord(wanted);
      },
      signal,
    );
  return {
    update,
    async get(nodeName, signal) {
      return parseRecord(await client.get(configMapRef(recordName(nodeName)), signal));
    },
    async list(signal) {
      const { items } = await client.list<ConfigMapObject>(configMapResource, {
        namespace: joinNamespace,
        labelSelector: recordLabel,
        ...(signal === undefined ? {} : { signal }),
      });
      return items.flatMap((item) => parseRecord(item) ?? []);
    },
    markRemoved: (nodeName, nowMs, signal) =>
      update(
        nodeName,
        (current) => ({
          ...(current ?? unknownRecord(nodeName)),
          removedAt: new Date(nowMs).toISOString(),
        }),
        signal,
      ),
  };
}

/** The record of a ConfigMap; undefined when it is none. Pure. */
export function parseRecord(object: ConfigMapObject | undefined): JoinRecord | undefined {
  const data = object?.data;
  if (data === undefined || object?.metadata.name !== recordName(data['nodeName'] ?? '')) {
    return undefined;
  }
  const field = (name: string) => data[name] ?? '';
  const optional = (name: string) => (field(name) === '' ? {} : { [name]: field(name) });
  return {
    nodeName: field('nodeName'),
    machineId: field('machineId'),
    bootId: field('bootId'),
    ...optional('previousBootId'),
    tokenId: field('tokenId'),
    joinedAt: field('joinedAt'),
    addresses: field('addresses').split(',').filter(Boolean),
    site: { name: field('site'), isBehindNat: field('isBehindNat') === 'true' },
    lastSeen: field('lastSeen'),
    ...optional('removedAt'),
  };
}

function renderRecord(record: JoinRecord): ConfigMapContent {
  const { site, addresses, ...texts } = record;
  return {
    labels: { [recordLabel]: 'true', [removedLabel]: String(record.removedAt !== undefined) },
    data: {
      ...texts,
      addresses: addresses.join(','),
      site: site.name,
      isBehindNat: String(site.isBehindNat),
    },
  };
}

function unknownRecord(nodeName: string): JoinRecord {
  return {
    nodeName,
    machineId: '',
    bootId: '',
    tokenId: '',
    joinedAt: '',
    addresses: [],
    site: { name: '', isBehindNat: false },
    lastSeen: '',
  };
}
