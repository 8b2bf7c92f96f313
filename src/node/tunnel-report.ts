import type { TunnelControllerStatus } from '../tunnel/types.ts';
import type { ControllerTunnelStatus, NodeStatus } from './status-types.ts';

/**
 * What `mini-k8s tunnel status -o json` prints. Programs may rely on it: fields are added, but none is renamed or
 * changes its meaning.
 */
export interface TunnelReport {
  /** Name of the node that answers. */
  readonly node: string;
  /** A controller lists nodes, a worker lists controllers. */
  readonly role: 'controller' | 'worker';
  /** One for each peer that is connected, or was since mini-k8s started on this machine; those of a worker, configured. */
  readonly tunnels: readonly TunnelReportRow[];
}

/** One tunnel as this machine sees it. Times are ISO 8601 in UTC. */
export interface TunnelReportRow {
  /** Node name on a controller, `host:port` of a controller on a worker. */
  readonly peer: string;
  readonly isConnected: boolean;
  /** When the present session began. */
  readonly since?: string;
  /** Last measured round trip, milliseconds. */
  readonly rttMs?: number;
  /** Open streams: one for each `logs`, `exec`, `port-forward`, proxied request, … */
  readonly streams: number;
  /** Bytes from this machine to the peer and back, since mini-k8s started here. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Sessions after the first, since mini-k8s started here. */
  readonly reconnects: number;
  /** Why the last session or try that failed did; it stays when the next one succeeds. */
  readonly lastError?: string;
  /** On controllers: where the node is, `main` or one name for all behind one address translation. */
  readonly site?: string;
  /** On controllers: the address that the session comes from. */
  readonly remoteAddress?: string;
  /** On controllers: when the last frame came. */
  readonly lastSeen?: string;
  /** On workers, while there is no session: when the next try is made. */
  readonly nextTry?: string;
}

/** The tunnels of a status. Pure. */
export function tunnelReport(status: NodeStatus): TunnelReport {
  const { name: node, role } = status.node;
  return role === 'worker'
    ? { node, role, tunnels: (status.agent?.controllers ?? []).map(describeController) }
    : { node, role: 'controller', tunnels: (status.tunnel?.nodes ?? []).map(describeNode) };
}

function describeNode(node: ControllerTunnelStatus['nodes'][number]): TunnelReportRow {
  return {
    peer: node.nodeName,
    isConnected: node.connectedSince !== undefined,
    ...time('since', node.connectedSince),
    ...(node.rttMs === undefined ? {} : { rttMs: node.rttMs }),
    streams: node.streams,
    bytesSent: node.bytesToNode,
    bytesReceived: node.bytesFromNode,
    reconnects: node.reconnects,
    ...(node.lastError === undefined ? {} : { lastError: node.lastError }),
    ...(node.site === undefined ? {} : { site: node.site }),
    ...(node.remoteAddress === undefined ? {} : { remoteAddress: node.remoteAddress }),
    ...time('lastSeen', node.lastSeen),
  };
}

function describeController(controller: TunnelControllerStatus): TunnelReportRow {
  const { address, isConnected, streams, bytesSent, bytesReceived, reconnects } = controller;
  return {
    ...{ peer: address, isConnected },
    ...time('since', controller.connectedSince),
    ...(controller.rttMs === undefined ? {} : { rttMs: controller.rttMs }),
    ...{ streams, bytesSent, bytesReceived, reconnects },
    ...(controller.lastError === undefined ? {} : { lastError: controller.lastError }),
    ...time('nextTry', controller.nextTryAt),
  };
}

function time<Name extends 'since' | 'lastSeen' | 'nextTry'>(
  name: Name,
  ms: number | undefined,
): { readonly [key in Name]?: string } {
  if (ms === undefined) return {};
  return { [name]: new Date(ms).toISOString() } as { readonly [key in Name]: string };
}
