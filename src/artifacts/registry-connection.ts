import type { GetOptions, HttpConnection, HttpResponse } from './http-connection.ts';
import { type Challenge, parseChallenges, repositoryOf, tokenAddress } from './registry-auth.ts';

export interface RegistryConnectionOptions {
  /** `https://registry.example:5000` */
  readonly base: string;
  /** Takes whole addresses, and follows redirects: contents are often elsewhere. */
  readonly origins: HttpConnection;
  /** `user:password`; a secret. */
  readonly credentials?: string | undefined;
}

/**
 * HTTP with a registry: paths as `/v2/…`. Where it asks for it, a request is sent once more, with a token for its
 * repository from the server that the registry names, or with the credentials themselves.
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
 */
export function connectRegistry(options: RegistryConnectionOptions): HttpConnection {
  // By repository: a token is for reading one.
  const known = new Map<string, string>();
  return {
    get: (path, request) => getAuthorized({ ...options, known, path, request }),
    close: () => options.origins.close(),
  };
}

interface AuthorizedGet extends RegistryConnectionOptions {
  readonly known: Map<string, string>;
  readonly path: string;
  readonly request: GetOptions;
}

async function getAuthorized(get: AuthorizedGet): Promise<HttpResponse> {
  const repository = repositoryOf(get.path);
  const first = await send(get, get.known.get(repository));
  if (first.status !== 401) return first;
  first.discard();
  const authorization = await authorize(get, parseChallenges(challengeOf(first)), repository);
  // Its 401 is the answer: there is nothing better to say.
  if (authorization === undefined) return first;
  if (typeof authorization !== 'string') return authorization;
  get.known.set(repository, authorization);
  return await send(get, authorization);
}

function send(
  { base, origins, path, request }: AuthorizedGet,
  authorization: string | undefined,
): Promise<HttpResponse> {
  const more = authorization === undefined ? {} : { Authorization: authorization };
  return origins.get(`${base}${path}`, { ...request, headers: { ...request.headers, ...more } });
}

function challengeOf(response: HttpResponse): string {
  return response.header('www-authenticate') ?? '';
}

/** @returns the value of `Authorization`, or the answer of a token server that gives none. */
async function authorize(
  get: AuthorizedGet,
  challenges: readonly Challenge[],
  repository: string,
): Promise<string | HttpResponse | undefined> {
  for (const challenge of challenges) {
    if (challenge.scheme === 'bearer') {
      const address = tokenAddress(challenge, { repository, registry: get.base });
      if (address !== undefined) return await fetchToken(get, address);
    }
    if (challenge.scheme === 'basic' && get.credentials !== undefined) {
      return basic(get.credentials);
    }
  }
  return undefined;
}

async function fetchToken(
  { origins, credentials, request }: AuthorizedGet,
  address: string,
): Promise<string | HttpResponse> {
  const headers = credentials === undefined ? {} : { Authorization: basic(credentials) };
  const response = await origins.get(address, { headers, signal: request.signal });
  if (response.status !== 200) {
    response.discard();
    // Denied and busy mean the same as of the registry; what else it says is not about the image.
    if ([401, 403, 429, 503].includes(response.status)) return response;
    throw new Error(`its token server answered with status ${response.status}`);
  }
  const token = readToken(await readText(response));
  if (token === undefined) throw new Error('its token server sent no token');
  return `Bearer ${token}`;
}

function readToken(text: string): string | undefined {
  try {
    const { token, access_token } = JSON.parse(text) as Record<string, unknown>;
    const found = token ?? access_token;
    return typeof found === 'string' && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Tokens have a few kilobytes. */
const maxTokenBytes = 256 * 1024;

async function readText(response: HttpResponse): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  await response.receive((chunk) => {
    size += chunk.length;
    if (size > maxTokenBytes) throw new Error('its token server sends no end');
    chunks.push(chunk);
    return undefined;
  });
  return Buffer.concat(chunks).toString('utf8');
}

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}
