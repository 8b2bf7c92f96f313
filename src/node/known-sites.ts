import type { JoinRecords } from '../join/join-records.ts';
import type { NodeSite } from '../join/types.ts';

/** Where each node is, as its last request showed; kept in memory since routing and labels ask without waiting. */
export interface KnownSites {
  siteOf(nodeName: string): NodeSite | undefined;
  learn(nodeName: string, site: NodeSite): void;
  /** Reads what the join records have, for nodes that have not asked this process yet. */
  load(records: JoinRecords, signal: AbortSignal): Promise<void>;
}

export interface KnownSitesOptions {
  /** This controller's own node: where it is, is `main` by definition. */
  readonly localNode: { readonly name: string; readonly site: NodeSite };
  /** Told when a node has another site than before. */
  readonly onChange: (nodeName: string) => void;
}

/** Names of nodes that never come back are forgotten at the next start; more than this are not kept. */
const maxNodes = 20_000;

export function createKnownSites(options: KnownSitesOptions): KnownSites {
  const { localNode, onChange } = options;
  const sites = new Map<string, NodeSite>([[localNode.name, localNode.site]]);
  const learn = (nodeName: string, site: NodeSite) => {
    const known = sites.get(nodeName);
    if (known?.name === site.name && known.isBehindNat === site.isBehindNat) return;
    if (known === undefined && sites.size >= maxNodes) return;
    sites.set(nodeName, site);
    onChange(nodeName);
  };
  return {
    siteOf: (nodeName) => sites.get(nodeName),
    learn,
    load: async (records, signal) => {
      for (const { nodeName, site, removedAt } of await records.list(signal)) {
        if (removedAt === undefined && !sites.has(nodeName)) learn(nodeName, site);
      }
    },
  };
}
