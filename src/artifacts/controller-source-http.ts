import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { errorMessage, UserError } from '../base/errors.ts';
import { gatewayServerName } from '../base/gateway-names.ts';
import type { HostPort } from '../base/host-port.ts';
import { createHttpConnection, type HttpConnection } from './http-connection.ts';
import { openTls } from './open-tls.ts';

/** How a worker shows that it may read: before its TLS bootstrap by token, afterwards by certificate. */
export type ControllerCredentials =
  /** `id.secret` of a join token. Never in an error or an event. */
  | { readonly kind: 'token'; readonly token: string }
  /** Read again for each connection, since kubelet renews them. */
  | { readonly kind: 'certificate'; readonly certFile: string; readonly keyFile: string };

export interface ControllerConnectionOptions {
  readonly address: HostPort;
  /** PEM of the cluster's CA. */
  readonly ca: string;
  readonly credentials: ControllerCredentials;
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<Socket>;
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /** Told of each chunk after it was handed over. */
  readonly onReceived: (bytes: number) => void;
}

/** HTTP with one controller, over one connection at a time. */
export function connectController(options: ControllerConnectionOptions): HttpConnection {
  const { credentials, stallMs, onReceived } = options;
  return createHttpConnection({
    host: gatewayServerName,
    headers: credentials.kind === 'token' ? { Authorization: `Bearer ${credentials.token}` } : {},
    maxSockets: 1,
    openSocket: (signal) => openSocket(options, signal),
    ...{ stallMs, onReceived },
  });
}

async function openSocket(
  options: ControllerConnectionOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { credentials, ca } = options;
  const identity = credentials.kind === 'certificate' ? await readIdentity(credentials) : {};
  const limit = AbortSignal.any([signal, AbortSignal.timeout(options.stallMs)]);
  const socket = await options.dial(options.address, limit);
  return await openTls(
    socket,
    { servername: gatewayServerName, ca, ...identity, minVersion: 'TLSv1.3' },
    limit,
  );
}

async function readIdentity(
  files: ControllerCredentials & { readonly kind: 'certificate' },
): Promise<{ readonly cert: Buffer; readonly key: Buffer }> {
  try {
    return { cert: await readFile(files.certFile), key: await readFile(files.keyFile) };
  } catch (error) {
    throw new UserError({
      what: 'read the certificate of this node',
      why: errorMessage(error),
      fix: 'join again with a new token',
      cause: error,
    });
  }
}
