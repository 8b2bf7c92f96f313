import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { createApiEndpoint } from '../../../src/api-endpoint/api-endpoint.ts';
import type {
  ApiEndpoint,
  ApiEndpointOptions,
  ServerHealth,
} from '../../../src/api-endpoint/types.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import {
  type FakeApiServer,
  type FakeApiServerOptions,
  startFakeApiServer,
} from '../../support/fake-api-server.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';

/** An API server that is silent on the network: nobody answers there, and nothing says so. */
export const silentHost = '192.0.2.7';

export interface Rig {
  readonly authority: ReturnType<typeof createTestAuthority>;
  readonly directory: string;
  readonly learnedFile: string;
  serve(name: string, options?: Partial<FakeApiServerOptions>): Promise<FakeApiServer>;
  /** A started balancer, checked often. */
  balance(options: Partial<ApiEndpointOptions>): Promise<RunningEndpoint>;
  cleanUp(): Promise<void>;
}

export interface RunningEndpoint extends ApiEndpoint {
  stop(): Promise<void>;
  /** Waits until a server's health is this. */
  waitHealth(address: string, health: ServerHealth): Promise<void>;
  /** Who answered one request over a connection of its own; the error's code when nobody did. */
  ask(host?: string): Promise<string>;
  /** A TLS connection to a server that stays. */
  connect(host?: string): Promise<TLSSocket>;
}

export async function createRig(): Promise<Rig> {
  const authority = createTestAuthority();
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-api-endpoint-'));
  const learnedFile = path.join(directory, 'api-servers.json');
  const cleanups: (() => Promise<unknown>)[] = [
    () => rm(directory, { recursive: true, force: true }),
  ];
  return {
    authority,
    directory,
    learnedFile,
    serve: async (name, options = {}) => {
      const server = await startFakeApiServer({ name, authority, ...options });
      cleanups.push(() => server.kill().catch(() => {}));
      return server;
    },
    balance: async (options) => {
      const endpoint = createApiEndpoint({
        listenAddress: '127.0.0.1',
        port: 0,
        servers: [],
        learnedFile,
        ca: authority.ca,
        seed: 'edge-1',
        clock: systemClock,
        logger: silentLogger,
        ...options,
        timings: { ...quick, ...options.timings },
      });
      const running = await endpoint.start(new AbortController().signal);
      cleanups.push(() => running.stop());
      return { ...endpoint, ...driver(endpoint, authority.ca), stop: () => running.stop() };
    },
    cleanUp: async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    },
  };
}

/** For tests about a server that says nothing: how long it is waited for. */
export const impatient = {
  staggerMs: 250,
  checkDialTimeoutMs: 1_000,
  checkAnswerTimeoutMs: 1_500,
  hurriedAnswerTimeoutMs: 1_500,
};

/** As in production, with the waiting taken out. */
const quick = {
  // A loaded machine is no server that hangs: tests that are about one say how long they wait.
  staggerMs: 5_000,
  checkDialTimeoutMs: 20_000,
  checkAnswerTimeoutMs: 20_000,
  hurriedAnswerTimeoutMs: 20_000,
  firstAnswerMs: 10_000,
  silenceMs: 10_000,
  confirmIntervalMs: 50,
  doubtIntervalMs: 100,
  idleIntervalMs: 100,
};

function driver(endpoint: ApiEndpoint, ca: string) {
  return {
    waitHealth: async (address: string, health: ServerHealth) => {
      const find = () => endpoint.status().servers.find((server) => server.address === address);
      await waitFor(() => find()?.health === health, {
        subject: `${address} to be ${health}`,
        timeoutMs: 20_000,
        intervalMs: 10,
        describe: () => JSON.stringify(endpoint.status().servers),
      });
    },
    ask: (host = '127.0.0.1') => askOnce({ host, port: endpoint.port(), ca }),
    connect: async (host = '127.0.0.1') => {
      const socket = connect({ host, port: endpoint.port(), ca, servername: 'kubernetes' });
      await once(socket, 'secureConnect');
      socket.on('error', () => {}).resume();
      return socket;
    },
  };
}

function askOnce(options: { host: string; port: number; ca: string }): Promise<string> {
  return new Promise((resolve) => {
    const call = request(
      { ...options, servername: 'kubernetes', agent: false, path: '/who' },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += String(chunk);
        });
        response.on('end', () => resolve(body));
      },
    );
    call.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    call.end();
  });
}
