import type { Socket } from 'node:net';
import { type DialedServer, dialServers } from './dial-servers.ts';
import { createOpening, type Opening } from './opening.ts';
import { relay, resetSocket } from './relay.ts';
import { staggerFor } from './server-health.ts';
import type { ApiServer, ServerPool } from './server-pool.ts';
import type { ApiEndpointTimings } from './types.ts';
import { watchSilence } from './watch-silence.ts';

export interface ServingOptions {
  readonly pool: ServerPool;
  readonly timings: ApiEndpointTimings;
  readonly dial: (server: ApiServer, signal: AbortSignal) => Promise<Socket>;
}

/**
 * Joins a client to the first server that answers, and tells the pool how they fare. A process that hangs accepts
 * connections too: a server that is silent to what the client says first is passed over, as long as there is one
 * that is known to be well.
 * @param client paused, and nothing of it read yet.
 * @returns false when nobody answered; the client is left as it is.
 */
export async function serveClient(
  client: Socket,
  options: ServingOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const { pool, timings } = options;
  const opening = createOpening(client);
  const passedOver = new Set<string>();
  for (;;) {
    const dialed = await dialBest(options, passedOver, signal);
    if (dialed === undefined) return false;
    const { server, socket } = dialed;
    for (const slow of dialed.outrun) pool.reportSlow(slow);
    const disconnect = connect(client, dialed, pool);
    if (await isSilent({ opening, dialed, passedOver }, options)) {
      disconnect();
      passedOver.add(server.name);
      pool.reportSlow(server);
      socket.destroy();
      continue;
    }
    pool.reportConnected(server);
    if (signal.aborted || socket.destroyed) {
      resetSocket(client);
      resetSocket(socket);
      return true;
    }
    relay(client, socket);
    const onSilent = () => {
      if (pool.hasHealthyBeside(server.name)) pool.reportSlow(server);
    };
    watchSilence(client, socket, { silenceMs: timings.silenceMs, onSilent });
    return true;
  }
}

/** Counts the connection as the server's, so that it is cut with it. Returns what takes it back. */
function connect(
  client: Socket,
  { server, socket }: DialedServer<ApiServer>,
  pool: ServerPool,
): () => void {
  const cut = () => {
    resetSocket(client);
    resetSocket(socket);
  };
  server.connections.add(cut);
  socket.once('close', (wasReset) => {
    server.connections.delete(cut);
    pool.reportClosed(server, wasReset);
  });
  return () => server.connections.delete(cut);
}

interface Attempt {
  readonly opening: Opening;
  readonly dialed: DialedServer<ApiServer>;
  readonly passedOver: ReadonlySet<string>;
}

async function isSilent(
  { opening, dialed, passedOver }: Attempt,
  { pool, timings }: ServingOptions,
): Promise<boolean> {
  if (!pool.hasHealthyBeside(dialed.server.name, ...passedOver)) {
    opening.repeat(dialed.socket);
    return false;
  }
  return (await opening.offer(dialed.socket, timings.firstAnswerMs)) === 'silent';
}

function dialBest(
  { pool, timings, dial }: ServingOptions,
  passedOver: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<DialedServer<ApiServer> | undefined> {
  const servers = pool.ranked().filter(({ name }) => !passedOver.has(name));
  const isHopeless = servers.every(({ state }) => state.health === 'dead');
  return dialServers<ApiServer>(
    {
      attempts: servers.map((server) => ({
        server,
        staggerMs: staggerFor(server.state, timings.staggerMs),
      })),
      timeoutMs: isHopeless ? timings.hopelessDialTimeoutMs : timings.dialTimeoutMs,
      dial,
      onFailed: (server, error) => pool.reportFailed(server, error),
    },
    signal,
  );
}
