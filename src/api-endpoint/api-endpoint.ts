import type { LookupFunction, Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { dialTcp } from '../base/dial.ts';
import { errorMessage, UserError } from '../base/errors.ts';
import type { RunningComponent, Termination } from '../supervisor/types.ts';
import { checkReady } from './check-ready.ts';
import { cleanServers, readLearnedServers, writeLearnedServers } from './learned-servers.ts';
import { createListeners, type Listeners } from './listeners.ts';
import { createNameLookup } from './name-lookup.ts';
import { resetSocket } from './relay.ts';
import { type ServingOptions, serveClient } from './serve-client.ts';
import { ServerPool } from './server-pool.ts';
import {
  type ApiEndpoint,
  type ApiEndpointOptions,
  type ApiEndpointStatus,
  type ApiEndpointTimings,
  defaultTimings,
} from './types.ts';

/** Two file descriptors each: somebody's flood is not to take those of the tunnel and of the log. */
const maxConnections = 2_048;

/** Everything that outlives a restart of the component. */
interface Balancer {
  readonly options: ApiEndpointOptions;
  readonly timings: ApiEndpointTimings;
  readonly pool: ServerPool;
  readonly lookup: LookupFunction;
  readonly extraAddresses: Set<string>;
  readonly clients: Set<Socket>;
  readonly counters: { accepted: number; refused: number; cut: number };
  listeners: Listeners | undefined;
  learned: readonly string[];
  /** Writes of the learned list, one after the other. */
  saving: Promise<void>;
}

/**
 * The API on this machine's loopback: TCP connections to whichever kube-apiserver answers, first the one in use. What
 * goes through is TLS between the client and kube-apiserver; nothing of it is read here.
 *
 * ```
 *  client ─► 127.0.0.1:6443 ─► chosen ── silent for 250 ms, or refused ─► next ─► …   none: RST
 *                                └─ connected, and silent for 500 ms to what the client says first ─► the next healthy one
 * ```
 */
export function createApiEndpoint(options: ApiEndpointOptions): ApiEndpoint {
  const balancer = createBalancer(options);
  return {
    name: 'api-endpoint',
    dependsOn: [],
    start: (signal) => startBalancer(balancer, signal),
    status: () => readStatus(balancer),
    port: () => balancer.listeners?.port() ?? options.port,
    update: (servers) => learn(balancer, servers),
    addListenAddress: (address) => {
      if (address === options.listenAddress || balancer.extraAddresses.has(address)) return;
      balancer.extraAddresses.add(address);
      balancer.listeners?.keepOpening(address);
    },
  };
}

function createBalancer(options: ApiEndpointOptions): Balancer {
  const timings = { ...defaultTimings, ...options.timings };
  const secureContext = createSecureContext({ ca: options.ca, minVersion: 'TLSv1.2' });
  const lookup = createNameLookup(options.resolve);
  const counters = { accepted: 0, refused: 0, cut: 0 };
  const pool: ServerPool = new ServerPool({
    ...options,
    configured: cleanServers(options.servers),
    timings,
    check: ({ name, address }, signal) =>
      checkReady(
        {
          ...address,
          secureContext,
          proxy: options.proxy,
          lookup,
          dialTimeoutMs: timings.checkDialTimeoutMs,
          answerTimeoutMs: pool.hasHealthyBeside(name)
            ? timings.hurriedAnswerTimeoutMs
            : timings.checkAnswerTimeoutMs,
        },
        signal,
      ),
    onCut: (connections) => {
      counters.cut += connections;
    },
  });
  return {
    options,
    timings,
    pool,
    lookup,
    extraAddresses: new Set(),
    clients: new Set(),
    counters,
    listeners: undefined,
    learned: [],
    saving: Promise.resolve(),
  };
}

async function startBalancer(balancer: Balancer, signal: AbortSignal): Promise<RunningComponent> {
  signal.throwIfAborted();
  const { options, pool } = balancer;
  if (balancer.learned.length === 0) {
    balancer.learned = await readLearnedServers(options.learnedFile);
    pool.setLearned(balancer.learned);
  }
  const abort = new AbortController();
  const listeners = createListeners({
    port: options.port,
    logger: options.logger,
    onConnection: (client) => void serve(balancer, client, abort.signal),
  });
  await openFirst(listeners, options);
  balancer.listeners = listeners;
  for (const address of balancer.extraAddresses) listeners.keepOpening(address);
  pool.start(abort.signal);
  const ended = Promise.withResolvers<Termination>();
  return {
    terminated: ended.promise,
    waitReady: async () => {},
    stop: async () => {
      abort.abort();
      for (const client of balancer.clients) resetSocket(client);
      await listeners.close();
      await balancer.saving;
      balancer.listeners = undefined;
      ended.resolve({ reason: 'Stopped', finishedAt: options.clock.now() });
    },
  };
}

async function openFirst(listeners: Listeners, options: ApiEndpointOptions): Promise<void> {
  try {
    await listeners.open(options.listenAddress);
  } catch (error) {
    throw new UserError({
      what: `offer the API on ${options.listenAddress}:${options.port}`,
      why: errorMessage(error),
      fix: 'stop the process that listens there (ss -ltnp shows it), or set spec.api.port',
      cause: error,
    });
  }
}

async function serve(balancer: Balancer, client: Socket, signal: AbortSignal): Promise<void> {
  const { clients, counters } = balancer;
  // Errors are followed by `close`, where both sides are cleaned up.
  client.on('error', () => {});
  clients.add(client);
  client.once('close', () => clients.delete(client));
  counters.accepted += 1;
  const isServed =
    clients.size <= maxConnections && (await serveClient(client, serving(balancer), signal));
  if (isServed) return;
  counters.refused += 1;
  resetSocket(client);
}

function serving({ options, pool, timings, lookup }: Balancer): ServingOptions {
  return {
    ...{ pool, timings },
    dial: ({ address }, attempt) =>
      dialTcp(
        {
          ...address,
          proxy: options.proxy,
          lookup,
          allowHalfOpen: true,
          timeoutMs: timings.dialTimeoutMs,
        },
        attempt,
      ),
  };
}

function learn(balancer: Balancer, servers: readonly string[]): void {
  const { options, pool } = balancer;
  const learned = cleanServers(servers);
  // kube-apiserver takes itself off the list when it ends: an empty one says nothing about where the next will be.
  if (learned.length === 0 || JSON.stringify(learned) === JSON.stringify(balancer.learned)) return;
  balancer.learned = learned;
  pool.setLearned(learned);
  balancer.saving = balancer.saving.then(() =>
    writeLearnedServers(options.learnedFile, learned).catch((error: unknown) =>
      options.logger.warn(`cannot keep the list of API servers: ${errorMessage(error)}`),
    ),
  );
}

function readStatus(balancer: Balancer): ApiEndpointStatus {
  const { pool, listeners, clients, counters } = balancer;
  const [chosen] = pool.ranked();
  return {
    listening: listeners?.listening() ?? [],
    ...(chosen === undefined ? {} : { chosen: chosen.name }),
    servers: pool.statuses(),
    activeConnections: clients.size,
    acceptedConnections: counters.accepted,
    refusedConnections: counters.refused,
    cutConnections: counters.cut,
  };
}
