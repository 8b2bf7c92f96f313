import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { errorCode, errorMessage } from '../base/errors.ts';
import { renderHostPort } from '../base/host-port.ts';
import type { Logger } from '../base/logger.ts';

/** An address that the machine does not have yet is tried again after this long, milliseconds. */
const retryMs = 1_000;

export interface ListenersOptions {
  /** 0: any, and then the same for each further address. */
  readonly port: number;
  readonly onConnection: (client: Socket) => void;
  readonly logger: Logger;
}

/** One port on several addresses. */
export interface Listeners {
  /** @throws when the address is taken or not there. */
  open(address: string): Promise<void>;
  /** Opens it as soon as it can be. */
  keepOpening(address: string): void;
  /** `address:port` of each that is open. */
  listening(): string[];
  port(): number;
  close(): Promise<void>;
}

export function createListeners(options: ListenersOptions): Listeners {
  const servers = new Map<string, Server>();
  const timers = new Map<string, NodeJS.Timeout>();
  let { port } = options;
  let isClosed = false;

  async function open(address: string): Promise<void> {
    const server = createServer(
      {
        allowHalfOpen: true,
        // Nothing is read before there is somebody to give it to.
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
      },
      options.onConnection,
    );
    await listen(server, address, port);
    if (isClosed) {
      server.close();
      return;
    }
    port = (server.address() as AddressInfo).port;
    servers.set(address, server);
    // Such as being out of file descriptors for a moment; the listener itself goes on.
    server.on('error', (error) =>
      options.logger.warn(`accepting on ${address} failed: ${error.message}`),
    );
  }

  function keepOpening(address: string, isRetry = false): void {
    open(address).catch((error: unknown) => {
      if (isClosed) return;
      const isExpected = errorCode(error) === 'EADDRNOTAVAIL';
      if (!isRetry && !isExpected) {
        options.logger.warn(`cannot listen on ${address} yet: ${errorMessage(error)}`);
      }
      timers.set(
        address,
        setTimeout(() => keepOpening(address, true), retryMs),
      );
    });
  }

  return {
    open,
    keepOpening: (address) => keepOpening(address),
    listening: () => [...servers.keys()].map((host) => renderHostPort({ host, port })),
    port: () => port,
    close: async () => {
      isClosed = true;
      for (const timer of timers.values()) clearTimeout(timer);
      const closed = [...servers.values()].map(
        (server) => new Promise((resolve) => server.close(resolve)),
      );
      servers.clear();
      await Promise.all(closed);
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
