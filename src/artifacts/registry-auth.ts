/** One way in that a server names in `WWW-Authenticate`. */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Reads a `WWW-Authenticate` header, which may have several challenges. What is malformed is left out. Pure.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  const parameter = new RegExp(`^(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`);
  const challenges: { readonly scheme: string; readonly parameters: Record<string, string> }[] = [];
  let rest = header.trim();
  while (rest !== '') {
    const found = parameter.exec(rest);
    const scheme = found === null ? new RegExp(`^${token}`).exec(rest)?.[0] : undefined;
    if (found !== null) {
      const [all, name = '', quoted, plain] = found;
      const value = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
      const last = challenges.at(-1);
      if (last !== undefined) last.parameters[name.toLowerCase()] = value;
      rest = rest.slice(all.length);
    } else if (scheme !== undefined) {
      challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
      rest = rest.slice(scheme.length);
    } else {
      rest = rest.slice(1);
    }
    rest = rest.replace(/^[\s,]+/, '');
  }
  return challenges;
}

/**
 * Where a token for reading a repository is to be had; undefined for a challenge that leads nowhere, or from TLS out of
 * TLS: credentials go there. Pure.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export function tokenAddress(
  { parameters }: Challenge,
  options: { readonly repository: string; readonly registry: string },
): string | undefined {
  const { realm = '', service, scope } = parameters;
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const isPlain = url?.protocol === 'http:' && options.registry.startsWith('http:');
  if (url === undefined || !(url.protocol === 'https:' || isPlain)) return undefined;
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope ?? `repository:${options.repository}:pull`);
  return url.href;
}

/** The repository that a request is about; empty for one about the registry itself. Pure. */
export function repositoryOf(path: string): string {
  return /^\/v2\/(.+)\/(?:manifests|blobs|tags)\//.exec(path)?.[1] ?? '';
}

/**
 * `user:password` of a registry in a file as `docker login` and `podman login` write it; undefined when it has none.
 * Pure.
 * @param registry `registry.example:5000`, `docker.io`.
 * @throws SyntaxError when the text is no JSON.
 */
export function findCredentials(authFile: string, registry: string): string | undefined {
  const { auths } = (JSON.parse(authFile) ?? {}) as { readonly auths?: Record<string, unknown> };
  for (const [name, value] of Object.entries(auths ?? {})) {
    if (hostOf(name) !== registry) continue;
    const { auth, username, password } = (value ?? {}) as Record<string, unknown>;
    if (typeof username === 'string' && typeof password === 'string') {
      return `${username}:${password}`;
    }
    if (typeof auth === 'string' && auth !== '') return Buffer.from(auth, 'base64').toString();
  }
  return undefined;
}

/** Docker Hub is there under the address of its first version. */
function hostOf(name: string): string {
  const host = name.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host;
}
