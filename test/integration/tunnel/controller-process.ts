// A controller's side of the tunnel as a process of its own: the real gateway, sessions and socket, for whoever kills
// it, takes its descriptors away or measures it. Options come as JSON; questions and answers are IPC messages.
import path from 'node:path';
import { getHeapSpaceStatistics } from 'node:v8';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { createGateway, type GatewayStatus } from '../../../src/gateway/gateway.ts';
import { createTunnelMetrics } from '../../../src/tunnel/metrics.ts';
import { createTunnelSessions, type TunnelSessionsOptions } from '../../../src/tunnel/sessions.ts';
import { createTunnelServer, type TunnelServerOptions } from '../../../src/tunnel/tunnel-server.ts';
import type { TunnelStatus } from '../../../src/tunnel/types.ts';
import { routeToAgents } from './route-to-agents.ts';

export interface ControllerProcessOptions {
  /** Has `gateway.crt`, `gateway.key` and `ca.crt`; `run/tunnel.sock` is made in it. */
  readonly directory: string;
  /** Of the gateway; 0 for any. */
  readonly port: number;
  readonly carrier?: NonNullable<TunnelSessionsOptions['carrier']>;
  readonly timeouts?: NonNullable<TunnelServerOptions['timeouts']>;
}

/** `count`: cheap also with ten thousand nodes. `collect`: after the garbage is gone; needs `--expose-gc`. */
export type ControllerQuestion = 'status' | 'count' | 'collect';

export interface ControllerStatus {
  readonly tunnel: TunnelStatus;
  readonly gateway: GatewayStatus;
}

export interface ControllerCounts {
  readonly port: number;
  /** Nodes whose newest session has answered a ping. */
  readonly connected: number;
  readonly streams: number;
  readonly duplicates: number;
  readonly gateway: GatewayStatus;
  /** How many of the living sessions were accepted in each second; times since the epoch, seconds. */
  readonly acceptedAt: readonly (readonly [second: number, sessions: number])[];
  readonly heapBytes: number;
  /** Of the old generation, garbage included. */
  readonly oldBytes: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as ControllerProcessOptions;
const file = (name: string) => path.join(options.directory, name);
const metrics = createTunnelMetrics(() => performance.now());
const base = { logger: silentLogger, clock: systemClock, metrics };
const sessions = createTunnelSessions({ ...base, carrier: options.carrier ?? {} });
const tunnel = createTunnelServer({
  ...{ ...base, sessions, socketPath: file('run/tunnel.sock') },
  routes: { route: routeToAgents },
  timeouts: options.timeouts ?? {},
});
const gateway = createGateway({
  ...{ ...base, address: '127.0.0.1', port: options.port, routes: [] },
  tlsFiles: { certFile: file('gateway.crt'), keyFile: file('gateway.key'), caFile: file('ca.crt') },
  acceptTunnel: (socket, identity) => sessions.accept(socket, identity),
});
const { signal } = new AbortController();
await tunnel.start(signal);
await gateway.start(signal);

process.on('message', (question: ControllerQuestion) => process.send?.(answer(question)));
process.once('disconnect', () => process.exit());
process.send?.(count());

function answer(question: ControllerQuestion): ControllerStatus | ControllerCounts {
  if (question === 'status') return { tunnel: tunnel.status(), gateway: gateway.status() };
  if (question === 'collect') globalThis.gc?.();
  return count();
}

function count(): ControllerCounts {
  const nodes = sessions.status();
  const acceptedAt = new Map<number, number>();
  for (const { connectedSince } of nodes) {
    if (connectedSince === undefined) continue;
    const second = Math.floor(connectedSince / 1000);
    acceptedAt.set(second, (acceptedAt.get(second) ?? 0) + 1);
  }
  const oldSpace = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space');
  return {
    port: gateway.status().port,
    connected: nodes.filter(({ rttMs }) => rttMs !== undefined).length,
    streams: nodes.reduce((sum, { streams }) => sum + streams, 0),
    duplicates: metrics.read().duplicateSessions,
    gateway: gateway.status(),
    acceptedAt: [...acceptedAt],
    heapBytes: process.memoryUsage().heapUsed,
    oldBytes: oldSpace?.space_used_size ?? 0,
  };
}
