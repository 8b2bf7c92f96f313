import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { createTestAuthority } from './tls-authority.ts';

export interface TokenServerOptions {
  readonly folder: string;
  /** Who may read which repositories; `''` is anybody. */
  readonly readers: Readonly<Record<string, readonly string[]>>;
}

/** The token server of a registry, as Docker Hub and others have one. */
export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  readonly certFile: string;
  /** Who asked for what: `user:password repository:team/web:pull`. */
  readonly asked: readonly string[];
}

/** @see https://distribution.github.io/distribution/spec/auth/jwt/ */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const { ca, issueServer } = createTestAuthority('token-ca');
  const { cert, key } = issueServer({ dnsNames: ['token.test'] });
  const certFile = path.join(options.folder, 'token-ca.pem');
  await writeFile(certFile, ca);
  const asked: string[] = [];
  const [service, issuer] = ['test-registry', 'test-issuer'];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', 'http://token.test');
    const basic = request.headers.authorization?.replace(/^Basic /, '') ?? '';
    const user = Buffer.from(basic, 'base64').toString();
    const scope = url.searchParams.get('scope') ?? '';
    asked.push(`${user} ${scope}`);
    const readable = options.readers[user];
    if (readable === undefined || url.searchParams.get('service') !== service) {
      response.writeHead(401).end('{"errors":[]}');
      return;
    }
    const [, repository = ''] = scope.split(':');
    const access = readable.includes(repository)
      ? [{ type: 'repository', name: repository, actions: ['pull'] }]
      : [];
    response.end(JSON.stringify({ token: makeToken({ cert, key, service, issuer, access }) }));
  };
  const server = createServer(answer).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return { realm, service, issuer, certFile, asked };
}

function makeToken(options: {
  readonly cert: string;
  readonly key: string;
  readonly service: string;
  readonly issuer: string;
  readonly access: readonly object[];
}): string {
  const seconds = Math.floor(Date.now() / 1000);
  const x5c = [new X509Certificate(options.cert).raw.toString('base64')];
  const text = [
    { typ: 'JWT', alg: 'ES256', x5c },
    {
      iss: options.issuer,
      sub: 'test',
      aud: options.service,
      exp: seconds + 300,
      nbf: seconds - 60,
      iat: seconds,
      jti: randomUUID(),
      access: options.access,
    },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const key = createPrivateKey(options.key);
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}
