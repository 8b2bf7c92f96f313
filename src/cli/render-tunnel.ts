import type { NodeStatus } from '../node/status-types.ts';
import { duration } from './duration.ts';
import { milliseconds } from './quantities.ts';
import type { Rows } from './table.ts';

/** A controller's tunnels: one row for each node that is connected, or was. */
export function tunnelRows(status: NodeStatus, nowMs: number): Rows {
  return [
    ['TUNNEL', 'CONNECTED', 'FROM', 'RTT', 'STREAMS', 'RECONNECTS', 'LAST ERROR'],
    ...(status.tunnel?.nodes ?? []).map((node) => [
      node.nodeName,
      node.connectedSince === undefined ? 'no' : duration(nowMs - node.connectedSince),
      node.remoteAddress ?? '',
      milliseconds(node.rttMs),
      String(node.streams),
      String(node.reconnects),
      node.lastError ?? '',
    ]),
  ];
}

/** A worker's controllers: the tunnel to each, and what the balancer thinks of its API server. */
export function controllerRows(status: NodeStatus, nowMs: number): Rows {
  return [
    ['CONTROLLER', 'STATE', 'SINCE', 'RTT', 'LAST ERROR'],
    ...(status.agent?.controllers ?? []).map((entry) => [
      `tunnel ${entry.address}`,
      entry.isConnected ? 'connected' : 'not connected',
      entry.connectedSince === undefined ? '' : duration(nowMs - entry.connectedSince),
      milliseconds(entry.rttMs),
      entry.lastError ?? '',
    ]),
    ...(status.apiEndpoint?.servers ?? []).map((server) => [
      `API ${server.address}`,
      server.health,
      duration(nowMs - server.since),
      '',
      server.lastError ?? '',
    ]),
  ];
}
