import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import {
  createRegistryRoute,
  type RegistryRouteOptions,
} from '../../../src/artifacts/registry-route.ts';
import type { ArtifactStore } from '../../../src/artifacts/store.ts';
import { gatewayServerName } from '../../../src/base/gateway-names.ts';
import type { Peer } from '../../../src/base/http-route.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import {
  buildAuthorityCertificate,
  buildLeafCertificate,
} from '../../../src/pki/certificate-builder.ts';
import { listenOnLoopback } from '../../support/loopback-server.ts';

export const token = 'abcdef.0123456789abcdef';

/** A CA with the certificates of a gateway and of a node. */
export interface RegistryAuthority {
  /** PEM. */
  readonly ca: string;
  readonly server: KeyPair;
  readonly client: KeyPair;
}

interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export function createRegistryAuthority(): RegistryAuthority {
  const privateKey = newKey();
  const nowMs = Date.now();
  const ca = buildAuthorityCertificate({
    commonName: 'kubernetes',
    ttlDays: 10,
    privateKey,
    nowMs,
  });
  const issue = (usage: 'server' | 'client') => {
    const key = newKey();
    const cert = buildLeafCertificate({
      subject: {
        commonName: usage === 'server' ? 'gateway' : 'system:node:edge-7',
        organizations: usage === 'server' ? [] : ['system:nodes'],
        usage,
        dnsNames: usage === 'server' ? [gatewayServerName] : [],
        ipAddresses: usage === 'server' ? ['127.0.0.1'] : [],
        ttlDays: 2,
      },
      publicKey: createPublicKey(key),
      authority: { certificate: new X509Certificate(ca), privateKey },
      nowMs,
    });
    return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
  };
  return { ca, server: issue('server'), client: issue('client') };
}

export interface RegistryOptions extends Partial<RegistryRouteOptions> {
  readonly store: ArtifactStore;
  readonly authority: RegistryAuthority;
  /** Before the route; true = it has answered, or never will. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface RunningRegistry {
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly address: string;
  /** `GET /v2/… bytes=5-` in the order of their coming. */
  readonly requests: string[];
  /** Sockets that are open. */
  connections(): number;
  close(): Promise<void>;
}

/** The route behind a listener as the gateway has it: TLS 1.3, certificates of clients asked for and not required. */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  const { authority, intercept } = options;
  const route = createRegistryRoute({
    logger: silentLogger,
    authorize: (request, peer) =>
      request.headers.authorization === `Bearer ${token}` || peer.certificate !== undefined,
    ...options,
  });
  const requests: string[] = [];
  const server = createServer(
    {
      ...authority.server,
      ca: authority.ca,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
    },
    (request, response) => {
      requests.push(
        [request.method, request.url, request.headers.range].filter((part) => part).join(' '),
      );
      if (intercept?.(request, response) === true) return;
      void Promise.resolve(route.handle(request, response, peerOf(request))).catch(() => {
        response.writeHead(500).end();
      });
    },
  );
  const { port, sockets, close } = await listenOnLoopback(server);
  onTestFinished(close);
  return { port, address: `127.0.0.1:${port}`, requests, connections: () => sockets.size, close };
}

/** Cuts the connection after so many bytes of an answer's body. */
export function cutAfter(response: ServerResponse, bytes: number): void {
  const write = response.write.bind(response) as (...args: unknown[]) => boolean;
  let left = bytes;
  response.write = ((chunk: Uint8Array, ...rest: unknown[]) => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (part.length === chunk.length && left > 0) return write(chunk, ...rest);
    write(part, () => response.destroy());
    return false;
  }) as typeof response.write;
}

function peerOf(request: IncomingMessage): Peer {
  const socket = request.socket as TLSSocket;
  const remoteAddress = socket.remoteAddress ?? '';
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return { remoteAddress };
  return {
    remoteAddress,
    certificate: {
      commonName: /CN=(.*)/.exec(certificate.subject)?.[1] ?? '',
      organizations: ['system:nodes'],
      fingerprint: '',
      notAfterMs: 0,
    },
  };
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}
