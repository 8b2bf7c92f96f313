import { rm } from 'node:fs/promises';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import {
  errorCode,
  errorMessage,
  UserError,
  type UserErrorOptions,
  UserErrors,
} from '../base/errors.ts';
import { expositionType } from '../base/exposition.ts';
import type { Clock } from '../base/time.ts';
import type { Component, Termination } from '../supervisor/types.ts';
import type { ReloadReport } from './reload.ts';
import type { NodeStatus } from './status-types.ts';

export interface StatusServerOptions {
  readonly socketPath: string;
  readonly clock: Clock;
  readonly readStatus: () => Promise<NodeStatus>;
  /** Prometheus' text. */
  readonly renderMetrics: () => string;
  readonly reload: () => Promise<ReloadReport>;
}

/**
 * A component that answers `GET /status` and `GET /metrics` on a Unix socket that only root can open:
 * `curl --unix-socket /run/mini-k8s/status.sock http://localhost/metrics`.
 */
export function statusServer(options: StatusServerOptions): Component {
  return {
    name: 'status',
    dependsOn: [],
    async start() {
      const server = createServer((incoming, outgoing) => {
        if (incoming.method === 'GET' && incoming.url === '/metrics') {
          outgoing.writeHead(200, { 'content-type': expositionType }).end(options.renderMetrics());
          return;
        }
        if (incoming.method === 'POST' && incoming.url === '/reload') {
          void answerReload(options.reload, outgoing);
          return;
        }
        if (incoming.method !== 'GET' || incoming.url !== '/status') {
          outgoing.writeHead(404).end();
          return;
        }
        options.readStatus().then(
          (status) => {
            outgoing.writeHead(200, { 'content-type': 'application/json' });
            outgoing.end(JSON.stringify(status));
          },
          (error: unknown) => outgoing.writeHead(500).end(errorMessage(error)),
        );
      });
      // The lock is ours: a socket that is left there belongs to nobody.
      await rm(options.socketPath, { force: true });
      await listen(server, options.socketPath);
      const terminated = new Promise<Termination>((resolve) => {
        server.once('close', () => resolve({ reason: 'Stopped', finishedAt: options.clock.now() }));
      });
      return {
        terminated,
        waitReady: async () => {},
        stop: async () => {
          server.close();
          server.closeAllConnections();
          await terminated;
          await rm(options.socketPath, { force: true });
        },
      };
    },
  };
}

/** 422 with every problem where the node goes on with what it had. */
async function answerReload(
  reload: StatusServerOptions['reload'],
  outgoing: ServerResponse,
): Promise<void> {
  const [code, body] = await reload().then(
    (report) => [200, report] as const,
    (error: unknown) => [422, { errors: problemsOf(error) }] as const,
  );
  outgoing.writeHead(code, { 'content-type': 'application/json' });
  outgoing.end(JSON.stringify(body));
}

function problemsOf(error: unknown): UserErrorOptions[] {
  const errors = error instanceof UserErrors ? error.errors : [error];
  return errors.map((one) =>
    one instanceof UserError
      ? { what: one.what, why: one.why, ...(one.fix === undefined ? {} : { fix: one.fix }) }
      : { what: 'reload the configuration', why: errorMessage(one) },
  );
}

/**
 * The status of the running node.
 * @throws UserError when none runs, or this user may not ask.
 */
export function fetchStatus(socketPath: string): Promise<NodeStatus> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/status', timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode === 200) resolve(JSON.parse(body) as NodeStatus);
        else reject(unreadable(body));
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(unreadable('no answer within 30 s')));
    outgoing.on('error', (error) => reject(explain(error, socketPath)));
    outgoing.end();
  });
}

function unreadable(why: string): UserError {
  return new UserError({
    what: 'read the status',
    why,
    fix: 'look into the log of mini-k8s on this machine',
  });
}

function explain(error: Error, socketPath: string): Error {
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new UserError({
      what: 'read the status',
      why: 'mini-k8s does not run on this machine',
      fix: 'start it with: mini-k8s controller, or: mini-k8s worker',
    });
  }
  if (code === 'EACCES') {
    return new UserError({
      what: 'read the status',
      why: `${socketPath} is for root only`,
      fix: 'run it with sudo',
    });
  }
  // Reset, or broken off: the controller is just ending.
  return code === undefined ? error : unreadable(error.message);
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: socketPath, readableAll: false, writableAll: false }, () => resolve());
  });
}
