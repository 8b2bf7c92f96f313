import { readFile } from 'node:fs/promises';
import type { ServerWords } from '../artifacts/ask-servers.ts';
import { catalogPins, findUnpinned } from '../artifacts/bundle-trust.ts';
import { pinnedImageDigest } from '../artifacts/catalog.ts';
import { findCredentials } from '../artifacts/registry-auth.ts';
import {
  createRegistrySource,
  type RegistryEndpoint,
  type RegistrySourceOptions,
} from '../artifacts/registry-source.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import type { ArtifactSource } from '../artifacts/types.ts';
import { errorMessage, UserError } from '../base/errors.ts';
import { proxySettingsFrom } from '../base/proxy-settings.ts';
import type { Clock } from '../base/time.ts';
import { proxyVariables } from '../config/proxy-variables.ts';
import type { ArtifactsSpec, ProxySpec } from '../config/types.ts';
import { dialOutside, fullPatience, imagePatience, type Patience } from './dial-outside.ts';
import type { NodeEvent } from './events.ts';

/** How registries are spoken with. */
export interface RegistryAccess {
  /** `user:password` by the registry of a reference. */
  readonly credentialsOf?: (registry: string) => string | undefined;
  /** Hosts, with their port, that speak no TLS. */
  readonly plainHttp?: readonly string[];
  /** How often a registry may fail in turn, for one that waits for a result. A node does not wait. */
  readonly rounds?: number;
}

export interface RegistryParts {
  /** PEM of CAs that are trusted besides the machine's own; or empty. */
  readonly ca: string;
  readonly store: ArtifactStore;
  readonly proxy: ProxySpec;
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
}

/** A node starts without an image, and containerd pulls it: not worth more than one more try. */
const nodeRounds = 2;

/**
 * A registry that has the images of all others below `oci://registry.example/prefix`, and executables in
 * `prefix/mini-k8s/`: of those with a pinned hash only these, of the others none unless they are trusted.
 */
export function registryMirrorSource(
  { mirror, trustMirror }: Pick<ArtifactsSpec, 'mirror' | 'trustMirror'>,
  credentials: string | undefined,
  parts: RegistryParts & { readonly patience: Patience },
): ArtifactSource {
  const { protocol, host, pathname } = new URL(mirror);
  const path = pathname.replace(/^\/+|\/+$/g, '');
  const endpoint: RegistryEndpoint = {
    base: `${protocol === 'oci:' ? 'https' : 'http'}://${host}`,
    prefix: path === '' ? '' : `${path}/`,
    namesRegistry: true,
    credentials,
  };
  return createRegistrySource({
    ...commonOptions(parts, { ...parts.patience, rounds: nodeRounds }),
    description: `mirror ${mirror}`,
    endpointOf: () => endpoint,
    components: {
      ...endpoint,
      refuse: (subject) => (trustMirror ? undefined : findUnpinned(subject, catalogPins)),
    },
    words: mirrorWords,
  });
}

/** The registries that the references themselves name. */
export function upstreamRegistriesSource(
  access: RegistryAccess,
  parts: RegistryParts,
): ArtifactSource {
  const { credentialsOf, plainHttp = [], rounds } = access;
  const patience =
    rounds === undefined ? { ...imagePatience, rounds: nodeRounds } : { ...fullPatience, rounds };
  return createRegistrySource({
    ...commonOptions(parts, patience),
    description: 'registries',
    endpointOf: (registry) => ({
      base: `${plainHttp.includes(registry) ? 'http' : 'https'}://${hostOf(registry)}`,
      prefix: '',
      namesRegistry: false,
      credentials: credentialsOf?.(registry),
    }),
    words: registryWords,
  });
}

function commonOptions(
  parts: RegistryParts,
  { rounds, firstByteMs, connectMs }: Patience & { readonly rounds: number },
): Omit<RegistrySourceOptions, 'description' | 'endpointOf' | 'words'> {
  const { ca, store, clock, onEvent } = parts;
  const proxy = proxySettingsFrom(proxyVariables(parts.proxy));
  return {
    ...{ store, clock, onEvent },
    pinOf: pinnedImageDigest,
    authorities: ca === '' ? undefined : ca,
    dial: dialOutside(proxy, { connectMs }),
    random: Math.random,
    timing: { stallMs: 30_000, firstPauseMs: 1000, rounds, firstByteMs },
  };
}

/** Docker Hub answers under another name than its references have. */
function hostOf(registry: string): string {
  return registry === 'docker.io' ? 'registry-1.docker.io' : registry;
}

/** Reads a file as `docker login` and `podman login` write it. @throws UserError without any of its content. */
export async function readAuthFile(
  file: string,
): Promise<(registry: string) => string | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    findCredentials(text, '');
    return (registry) => findCredentials(text, registry);
  } catch (error) {
    throw new UserError({
      what: `read the credentials in ${file}`,
      // The message of a parser may have a piece of the file in it.
      why: error instanceof SyntaxError ? 'it is not JSON' : errorMessage(error),
      fix: 'give a file as docker login and podman login write it: {"auths": …}',
    });
  }
}

const unreachable =
  'check the network of this machine (mini-k8s takes HTTPS_PROXY and NO_PROXY), or give a bundle with --bundle';

const registryWords: ServerWords = {
  why: {
    denied: 'it does not let this machine have the image',
    untrusted: 'its certificate is not one that this machine trusts',
  },
  fix: {
    denied: 'check the name of the image; a private one needs --auth-file at bundle create',
    untrusted:
      'put the CA of the registry or proxy that answers there into spec.artifacts.ca, and check the clock of this machine',
    'wrong-content': 'take another tag of the image, or another registry',
    unreachable,
  },
};

const mirrorWords: ServerWords = {
  why: registryWords.why,
  fix: {
    ...registryWords.fix,
    denied: 'give user and password of the mirror in the file spec.artifacts.credentialsFile',
    'wrong-content': 'push the image for this architecture to the mirror',
  },
};
