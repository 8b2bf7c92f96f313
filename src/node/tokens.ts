import { readFile } from 'node:fs/promises';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { Clock } from '../base/time.ts';
import { type GatewayRecord, gatewayRecordFile } from '../components/gateway.ts';
import { kubeconfigPath, pair, pkiFiles } from '../components/layout.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import {
  type BootstrapToken,
  createBootstrapToken,
  listBootstrapTokens,
  revokeBootstrapToken,
} from '../join/bootstrap-tokens.ts';
import { defaultTtlMs, parseTtl, renderDuration } from '../join/duration.ts';
import { parseServers, renderJoinToken } from '../join/token.ts';
import type { JoinRole } from '../join/types.ts';
import { pinOf } from '../join/verify-gateway.ts';
import { createKubeClient } from '../kube-client/client.ts';
import { KubeConnectionError } from '../kube-client/errors.ts';
import type { KubeClient } from '../kube-client/types.ts';

export interface TokenOptions {
  readonly dataDir?: string;
  readonly clock: Clock;
}

export interface CreateTokenOptions extends TokenOptions {
  /** `1h`, `7d`; an hour when left out. */
  readonly ttl?: string;
  /** `worker` when left out. */
  readonly role?: string;
  readonly description?: string;
  /** `host[:port]` of gateways; this controller's own when empty. */
  readonly servers: readonly string[];
}

export interface PrintedToken {
  /** The string to give to a machine: a secret. */
  readonly token: string;
  readonly role: JoinRole;
  /** ISO 8601. */
  readonly expiresAt: string;
  /** `1h`. */
  readonly expiresIn: string;
}

export interface ListedToken extends BootstrapToken {
  /** `59m`; `never` for one of others' without an end. */
  readonly expiresIn: string;
}

/** Makes a join token on a controller. @throws UserError when this machine is none, or its API does not answer. */
export async function createToken(options: CreateTokenOptions): Promise<PrintedToken> {
  const what = 'create a token';
  const role = readRole(options.role ?? 'worker');
  const ttlMs = options.ttl === undefined ? defaultTtlMs : parseTtl(options.ttl);
  const given = options.servers.length === 0 ? undefined : parseServers(options.servers);
  return await onController(options, what, async ({ client, paths }) => {
    const servers = given ?? (await readGatewayRecord(paths, what)).servers;
    const caPin = pinOf(await readFile(pkiFiles(paths).ca.certFile, 'utf8'));
    const { id, secret, expiresAt } = await createBootstrapToken(client, {
      role,
      ttlMs,
      description: options.description ?? '',
      nowMs: options.clock.now(),
    });
    const token = renderJoinToken({ role, id, secret, caPin, servers });
    return { token, role, expiresAt, expiresIn: renderDuration(ttlMs) };
  });
}

/** All bootstrap tokens of the cluster, without their secrets. @throws UserError as `createToken` does. */
export async function listTokens(options: TokenOptions): Promise<ListedToken[]> {
  return await onController(options, 'list tokens', async ({ client }) => {
    const tokens = await listBootstrapTokens(client);
    return tokens.map((token) => ({
      ...token,
      expiresIn:
        token.expiresAt === undefined
          ? 'never'
          : renderDuration(Date.parse(token.expiresAt) - options.clock.now()),
    }));
  });
}

/** Ends a token before its time. @throws UserError when there is none by this id, and as `createToken` does. */
export async function revokeToken(options: TokenOptions & { readonly id: string }): Promise<void> {
  const what = 'revoke a token';
  const isRevoked = await onController(options, what, ({ client }) =>
    revokeBootstrapToken(client, options.id, options.clock.now()),
  );
  if (isRevoked) return;
  throw new UserError({
    what: `revoke the token ${options.id}`,
    why: 'there is none by this id: it has expired, or was revoked before',
    fix: 'mini-k8s token list shows those that hold',
  });
}

interface Controller {
  readonly client: KubeClient;
  readonly paths: Paths;
}

/** Runs `act` with this program's own client of the API, which is on loopback on every controller. */
async function onController<T>(
  options: TokenOptions,
  what: string,
  act: (controller: Controller) => Promise<T>,
): Promise<T> {
  const paths = pathsFor(options);
  try {
    const client = createKubeClient({
      server: await localServer(paths, what),
      caFile: pkiFiles(paths).ca.certFile,
      ...pair(paths.pkiDir, 'mini-k8s-client'),
    });
    try {
      return await act({ client, paths });
    } finally {
      client.close();
    }
  } catch (error) {
    throw explain(error, what, paths);
  }
}

async function localServer(paths: Paths, what: string): Promise<string> {
  const kubeconfig = await readTextIfExists(kubeconfigPath(paths, 'mini-k8s'));
  const server = /server: "(https:\/\/[^"]+)"/.exec(kubeconfig ?? '')?.[1];
  if (server === undefined) throw notAController(what, paths);
  return server;
}

async function readGatewayRecord(paths: Paths, what: string): Promise<GatewayRecord> {
  const text = await readTextIfExists(gatewayRecordFile(paths));
  if (text !== undefined) return JSON.parse(text) as GatewayRecord;
  throw new UserError({
    what,
    why: `${gatewayRecordFile(paths)} is missing: this controller was last started by an older mini-k8s`,
    fix: 'restart the controller, or name its address with --server HOST:PORT',
  });
}

function readRole(text: string): JoinRole {
  const roles: readonly JoinRole[] = ['worker', 'controller'];
  const found = roles.find((role) => role === text);
  if (found !== undefined) return found;
  throw new UserError({
    what: 'create a token',
    why: `${JSON.stringify(text.slice(0, 40))} is neither worker nor controller`,
    fix: 'use --role worker',
  });
}

function explain(error: unknown, what: string, paths: Paths): unknown {
  if (error instanceof KubeConnectionError) {
    return new UserError({
      what,
      why: `the API of this controller does not answer (${error.code})`,
      fix: 'start it with mini-k8s controller, or look at: mini-k8s status',
      cause: error,
    });
  }
  if (errorCode(error) === 'ENOENT') return notAController(what, paths);
  if (errorCode(error) !== 'EACCES') return error;
  const why = `the keys in ${paths.pkiDir} are for root only`;
  return new UserError({ what, why, fix: 'run it with sudo', cause: error });
}

function notAController(what: string, paths: Paths): UserError {
  return new UserError({
    what,
    why: `there is no control plane in ${paths.dataDir}`,
    fix: 'run it on a controller, or name its --data-dir',
  });
}
