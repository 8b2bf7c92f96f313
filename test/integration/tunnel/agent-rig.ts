import { afterEach } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { type DelayProxyOptions, startDelayProxy } from '../../support/delay-proxy.ts';
import { type Client, openClient, openDirectly, startTarget } from './harness.ts';
import { createTestCluster } from './node-certificates.ts';
import {
  type AgentOptions,
  type Controller,
  type ControllerOptions,
  startAgent,
  startController,
} from './tunnel-peers.ts';

/** Agents, controllers and targets of one test, each with real sockets; all are closed after it. */
export function tunnelRig() {
  const closers: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  const cluster = createTestCluster();
  const closing = <T extends { close(): unknown }>(started: T): T => {
    closers.push(() => started.close());
    return started;
  };
  return {
    cluster,
    closers,
    controller: async (options: ControllerOptions = {}) =>
      closing(await startController(cluster, options)),
    agent: async (nodeName: string, addresses: readonly string[], options: AgentOptions = {}) =>
      closing(await startAgent(cluster, { ...options, nodeName, addresses })),
    target: async (...args: Parameters<typeof startTarget>) => closing(await startTarget(...args)),
    proxy: async (options: DelayProxyOptions) => closing(await startDelayProxy(options)),
    /** To a target of this machine, with nothing between. */
    direct: async (port: number): Promise<Client> => {
      const client = await openDirectly(port);
      closers.push(() => client.socket.destroy());
      return client;
    },
    open: async (socketPath: string, request: string): Promise<Client> => {
      const client = await openClient(socketPath, request);
      closers.push(() => client.socket.destroy());
      return client;
    },
  };
}

export const text = (client: Client): string => client.received.toString('latin1');

/** Waits with the deadline of this floor's tests. */
export function until(
  subject: string,
  probe: () => boolean,
  options: { describe?: () => string; timeoutMs?: number } = {},
): Promise<true> {
  return waitFor(() => probe() || undefined, {
    ...{ subject, timeoutMs: 20_000, intervalMs: 5 },
    ...options,
  });
}

export function untilConnected(controller: Controller, ...names: readonly string[]): Promise<true> {
  return until('sessions', () => names.every((name) => controller.sessions.isConnected(name)), {
    describe: () => JSON.stringify(controller.sessions.status()),
  });
}

/** Nothing is open at either end any more. */
export function untilNoStream(controller: Controller): Promise<true> {
  return until(
    'no stream',
    () => {
      const { activeStreams, nodes } = controller.tunnel.status();
      return activeStreams === 0 && nodes.every(({ streams }) => streams === 0);
    },
    { describe: () => JSON.stringify(controller.tunnel.status()), timeoutMs: 60_000 },
  );
}
