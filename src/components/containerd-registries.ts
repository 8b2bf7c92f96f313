import type { FileSpec } from '../base/files.ts';
import type { RegistryAccess, RegistrySpec } from '../config/types.ts';
import { privateFile } from './layout.ts';
import type { CredentialSpec } from './types.ts';

/** Where containerd looks for a directory per registry; an operator may add some beside ours. */
export const registriesDir = '/etc/mini-k8s/registries';

/** The first line of each file that is ours: `reset`, and a change of the configuration, leave an operator's alone. */
export const registrySign = '# Written by mini-k8s from spec.registries, which replaces it.';

/** Sent to the controllers with each request. */
export const mirrorHeader = 'mini-k8s-architecture';

/** Begins the names of the certificates beside our files. */
export const authorityPrefix = 'mini-k8s-ca-';

export interface RegistryFilesOptions {
  /** By name; `*` for all that have no entry of their own. */
  readonly registries: Readonly<Record<string, RegistrySpec>>;
  /** The controllers as mirrors of all registries. */
  readonly gateways: GatewayMirrors;
}

export interface GatewayMirrors {
  /** `host:port` of the controllers' gateways: their certificates must bear exactly these hosts. */
  readonly servers: readonly string[];
  /** Absolute path of the cluster's CA. */
  readonly caFile: string;
  /**
   * Absolute paths of a client certificate and its key, as PEM. containerd reads them at each pull; while they are
   * missing every pull fails, also from other registries.
   */
  readonly client: {
    readonly certFile: string;
    /** Left out where `certFile` has the key too, as kubelet's `kubelet-client-current.pem`. */
    readonly keyFile?: string;
  };
  /** The machine's, in Go's words: it gets nothing that it could not run. */
  readonly arch: string;
}

export interface RegistryFiles {
  readonly files: readonly FileSpec[];
  /** What the files refer to. */
  readonly credentials: readonly CredentialSpec[];
}

/**
 * A gateway that does not answer must not cost each pull the 30 s that containerd has for a registry. Three tries of TCP
 * are over by then.
 */
const dialTimeout = '4s';

/**
 * A directory for each registry, and one for all others. What the mirrors do not have, or while none answers, comes from
 * the registry that the image names. containerd reads them at each pull: no change needs a restart.
 * @see https://github.com/containerd/containerd/blob/v2.3.6/docs/hosts.md
 */
export function registryFiles({ registries, gateways }: RegistryFilesOptions): RegistryFiles {
  const entries = Object.entries({ '*': nothing, ...registries });
  const rendered = entries.map(([name, registry], index) =>
    renderRegistry({ name, registry, id: `registry-${index}`, gateways }),
  );
  return {
    files: rendered.flatMap(({ files }) => files),
    credentials: rendered.flatMap(({ credentials }) => credentials),
  };
}

const nothing: RegistrySpec = { url: '', ca: '', credentialsFile: '', mirrors: [] };

interface RegistryInput {
  readonly name: string;
  readonly registry: RegistrySpec;
  /** Begins the names of its secrets. */
  readonly id: string;
  readonly gateways: GatewayMirrors;
}

function renderRegistry({ name, registry, id, gateways }: RegistryInput): RegistryFiles {
  const directory = `${registriesDir}/${name === '*' ? '_default' : name}`;
  const own = renderAccess(registry, { id, directory });
  const mirrors = registry.mirrors.map((mirror, index) => ({
    url: mirror.url,
    ...renderAccess(mirror, { id: `${id}-mirror-${index}`, directory }),
  }));
  const server = registry.url === '' ? [] : [`server = ${quote(registry.url)}`];
  const lines = [
    ...server,
    ...own.fields,
    ...(own.header === undefined ? [] : ['[header]', own.header]),
    ...gateways.servers.flatMap((one) => gatewayLines(one, gateways)),
    ...mirrors.flatMap(({ url, fields, header }) => mirrorLines(url, fields, header)),
  ];
  if (lines.length === 0) return { files: [], credentials: [] };
  const parts = [own, ...mirrors];
  return {
    files: [
      privateFile(`${directory}/hosts.toml`, `${[registrySign, ...lines].join('\n')}\n`),
      ...parts.flatMap(({ files }) => files),
    ],
    credentials: parts.flatMap(({ credentials }) => credentials),
  };
}

interface RenderedAccess extends RegistryFiles {
  readonly fields: readonly string[];
  readonly header: string | undefined;
}

function renderAccess(
  { ca, credentialsFile }: RegistryAccess,
  { id, directory }: { readonly id: string; readonly directory: string },
): RenderedAccess {
  const caFile = `${directory}/${authorityPrefix}${id}.crt`;
  return {
    fields: ca === '' ? [] : [`ca = ${quote(caFile)}`],
    // Sent to the registry, and to whoever gives out its tokens.
    header: credentialsFile === '' ? undefined : `Authorization = "\${secret:${id}}"`,
    files: ca === '' ? [] : [privateFile(caFile, ca)],
    credentials: credentialsFile === '' ? [] : [{ name: id, file: credentialsFile }],
  };
}

function mirrorLines(
  url: string,
  fields: readonly string[],
  header: string | undefined,
): readonly string[] {
  const host = `host.${quote(url)}`;
  return [
    `[${host}]`,
    'capabilities = ["pull", "resolve"]',
    ...fields,
    ...(header === undefined ? [] : [`[${host}.header]`, header]),
  ];
}

function gatewayLines(server: string, gateways: GatewayMirrors): readonly string[] {
  const host = `host.${quote(`https://${server}`)}`;
  return [
    `[${host}]`,
    'capabilities = ["pull", "resolve"]',
    `ca = ${quote(gateways.caFile)}`,
    `client = ${renderClient(gateways.client)}`,
    `dial_timeout = "${dialTimeout}"`,
    `[${host}.header]`,
    `${mirrorHeader} = ${quote(gateways.arch)}`,
  ];
}

/** A pair is a list in a list: each word of a plain list would be a file with both in it. */
function renderClient({ certFile, keyFile }: GatewayMirrors['client']): string {
  return keyFile === undefined ? quote(certFile) : `[[${quote(certFile)}, ${quote(keyFile)}]]`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
