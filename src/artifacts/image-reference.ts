/** The parts of a full image reference, as a registry and containerd's mirrors name them. */
export interface ImageName {
  /** `registry.k8s.io`; what containerd sends as `?ns=`. */
  readonly registry: string;
  /** `coredns/coredns`. */
  readonly repository: string;
  /** A tag, or `sha256:…`; `latest` where the reference has neither. */
  readonly version: string;
}

/**
 * Splits a reference. A first part without a dot, a colon and not `localhost` is no registry: Docker Hub is meant.
 * @returns undefined when it is no reference that a registry could be asked for.
 * @see https://github.com/distribution/reference/blob/v0.6.0/normalize.go
 */
export function parseImageReference(reference: string): ImageName | undefined {
  const [tagged = '', digest] = reference.split('@');
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1);
  const name = colon === -1 ? tagged : tagged.slice(0, colon);
  const tag = colon === -1 ? 'latest' : tagged.slice(colon + 1);
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === 'localhost';
  const registry = hasRegistry ? first : 'docker.io';
  const path = hasRegistry ? name.slice(slash + 1) : name;
  const isShort = registry === 'docker.io' && !path.includes('/');
  const repository = isShort ? `library/${path}` : path;
  const version = digest ?? tag;
  const isVersion = isTag(version) || isDigest(version);
  return isRepository(repository) && isVersion ? { registry, repository, version } : undefined;
}

/** The full reference, by which containerd keeps the image whatever short form a pod has: `docker.io/library/nginx:1.29`. */
export function renderImageReference({ registry, repository, version }: ImageName): string {
  return `${registry}/${repository}${isDigest(version) ? '@' : ':'}${version}`;
}

/** @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests */
export function isRepository(text: string): boolean {
  const part = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
  return text.length <= 255 && new RegExp(`^${part}(?:/${part})*$`).test(text);
}

export function isTag(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(text);
}

export function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}
