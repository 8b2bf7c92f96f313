import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { onTestFinished } from 'vitest';
import { createTestAuthority } from '../tls-authority.ts';

/** A web server with files by path, with TLS, a CA that no machine knows, and Basic authentication. */
export interface FilesMirror {
  /** `https://198.18.7.1:41234/k8s` */
  readonly base: string;
  /** PEM. */
  readonly ca: string;
  /** `user:password` */
  readonly credentials: string;
  /** Paths below the base of which the content was sent, in that order. */
  readonly given: readonly string[];
  close(): Promise<void>;
}

const prefix = '/k8s';

/** Gone when the test ends. @param files On this machine, by path below the base. */
export async function startFilesMirror(
  address: string,
  files: ReadonlyMap<string, string>,
): Promise<FilesMirror> {
  const authority = createTestAuthority();
  const credentials = 'edge:a secret';
  const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
  const given: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const { method, url = '', headers } = request;
    const name = url.slice(prefix.length);
    const file = url.startsWith(prefix) ? files.get(name) : undefined;
    if (headers.authorization !== authorization) return response.writeHead(401).end();
    if (file === undefined) return response.writeHead(404).end();
    response.writeHead(200, { 'content-length': statSync(file).size });
    if (method === 'HEAD') return response.end();
    given.push(name);
    return pipeline(createReadStream(file), response, () => {});
  };
  const tls = authority.issueServer({ ipAddresses: [address] });
  const server = createServer(tls, (request, response) => void answer(request, response));
  server.listen(0, address);
  await once(server, 'listening');
  const close = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  onTestFinished(close);
  const { port } = server.address() as AddressInfo;
  const base = `https://${address}:${port}${prefix}`;
  return { base, ca: authority.ca, credentials, given, close };
}
