import type { Socket } from 'node:net';
import type { HostPort } from '../base/host-port.ts';
import type { Clock } from '../base/time.ts';
import {
  type Answer,
  askServers,
  type Server,
  type ServerWords,
  UnreachableError,
} from './ask-servers.ts';
import { clearTemporary } from './blobs.ts';
import { createYoungCollector } from './collect-young.ts';
import { downloadEntries, type FoundArtifact } from './download-entries.ts';
import { type DownloadSession, orWithout } from './download-session.ts';
import {
  describeArtifact,
  type FetchedManifest,
  fetchConfigArchitecture,
  fetchManifest,
  type ManifestLocation,
} from './fetch-manifest.ts';
import type { HttpConnection } from './http-connection.ts';
import { type ImageName, parseImageReference } from './image-reference.ts';
import { connectOrigins } from './origin-connections.ts';
import { type ComponentsInRegistry, provideComponents } from './registry-components.ts';
import { connectRegistry } from './registry-connection.ts';
import { type ArtifactStore, pruneStore } from './store.ts';
import type { ArtifactEvent, ArtifactSource, ImageArtifact } from './types.ts';

/** Where the images of one registry are asked for. */
export interface RegistryEndpoint {
  /** `https://registry.example:5000` */
  readonly base: string;
  /** In front of each repository: `mirror/`, or empty. */
  readonly prefix: string;
  /** Whether it is told which registry an image is of, as containerd tells its mirrors. */
  readonly namesRegistry: boolean;
  /** `user:password`; a secret. */
  readonly credentials?: string | undefined;
}

export interface RegistrySourceOptions {
  /** For messages: `registries`. */
  readonly description: string;
  /** By the registry of an image's reference: `docker.io`. */
  readonly endpointOf: (registry: string) => RegistryEndpoint;
  /** The pinned digest of an image's index, where there is one. */
  readonly pinOf: (reference: string) => string | undefined;
  /** Left out: there are no executables. */
  readonly components?: RegistryEndpoint & ComponentsInRegistry;
  /** PEM of CAs that are trusted besides the machine's own. */
  readonly authorities?: string | undefined;
  /** A connected socket, straight or through a proxy: `dialTcp`. */
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<Socket>;
  readonly words: ServerWords;
  readonly store: ArtifactStore;
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly clock: Clock;
  /** 0 to 1: spreads the retries of many nodes. */
  readonly random: () => number;
  readonly timing: RegistryTiming;
}

export interface RegistryTiming {
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /** The first pause; each next one is twice as long, up to half a minute. */
  readonly firstPauseMs: number;
  /** How often a registry may fail in turn, without a byte won. */
  readonly rounds: number;
  /**
   * What a registry of which nothing was heard yet has for its first byte: one that is silent counts as dead for all
   * that is wanted of it. Left out: it is waited for as often as it is asked.
   */
  readonly firstByteMs?: number | undefined;
}

/**
 * Registries as a source of images, and of executables where one has them: for one architecture, by digest, each blob
 * verified before it is visible. A download that was cut goes on where it ended. What goes wrong with an image is told
 * and passed over.
 */
export function createRegistrySource(options: RegistrySourceOptions): ArtifactSource {
  return {
    description: options.description,
    mayFail: true,
    provide: async (artifacts, signal) => {
      const images = artifacts.filter((artifact) => artifact.kind === 'image').flatMap(nameImage);
      const executables = artifacts.filter((artifact) => artifact.kind === 'executable');
      await clearTemporary(options.store.directory, () => true);
      const origins = connect(options);
      try {
        for (const [registry, group] of Map.groupBy(images, ({ name }) => name.registry)) {
          const endpoint = options.endpointOf(registry);
          const session = openSession(endpoint, { ...options, origins, signal });
          await provideImages(session, group, { endpoint, ...options });
        }
        const { components } = options;
        if (components !== undefined && executables.length > 0) {
          const session = openSession(components, { ...options, origins, signal });
          await provideComponents(session, executables, components);
        }
      } finally {
        origins.close();
      }
      await pruneStore(options.store);
      return [];
    },
  };
}

/** One for everything: a mirror has the images of all registries, and what was learnt of it holds for all of them. */
function connect({ dial, authorities, timing }: RegistrySourceOptions): HttpConnection {
  const { stallMs, firstByteMs } = timing;
  return connectOrigins({
    ...{ dial, authorities, stallMs, firstByteMs, maxSockets: 1 },
    onReceived: createYoungCollector(),
  });
}

interface NamedImage {
  readonly artifact: ImageArtifact;
  readonly name: ImageName;
}

function nameImage(artifact: ImageArtifact): readonly NamedImage[] {
  const name = parseImageReference(artifact.reference);
  return name === undefined ? [] : [{ artifact, name }];
}

function openSession(
  { base, credentials }: RegistryEndpoint,
  options: RegistrySourceOptions & {
    readonly origins: HttpConnection;
    readonly signal: AbortSignal;
  },
): DownloadSession {
  const { origins, words, random, store, clock, onEvent, signal } = options;
  const { firstPauseMs, rounds } = options.timing;
  const server: Server = {
    name: new URL(base).host,
    connection: connectRegistry({ base, origins, credentials }),
  };
  const sourceName = () => `registry ${server.name}`;
  return {
    ...{ store, clock, onEvent, signal, sourceName },
    rounds: () => rounds,
    asking: {
      ...{ servers: [server], words, random, firstPauseMs, signal },
      onWaiting: (waiting) => onEvent({ type: 'import-waiting', source: sourceName(), ...waiting }),
    },
  };
}

async function provideImages(
  session: DownloadSession,
  images: readonly NamedImage[],
  options: { readonly endpoint: RegistryEndpoint } & Pick<RegistrySourceOptions, 'pinOf'>,
): Promise<void> {
  const found: FoundArtifact[] = [];
  let isAway = false;
  for (const { artifact, name } of images) {
    // It would take as long again to learn the same.
    if (isAway) break;
    const location = locate(name, options.pinOf(artifact.reference), options.endpoint);
    const fetched = await orWithout(session, artifact, () =>
      find(session, artifact, location).catch((error: unknown) => {
        isAway = error instanceof UnreachableError;
        throw error;
      }),
    );
    if (fetched !== undefined) found.push({ ...fetched, artifact, wanted: [artifact] });
  }
  if (found.length > 0) await downloadEntries(session, found);
}

function locate(
  { registry, repository, version }: ImageName,
  pin: string | undefined,
  { prefix, namesRegistry }: RegistryEndpoint,
): ManifestLocation {
  return {
    repository: `${prefix}${repository}`,
    query: namesRegistry ? `?ns=${encodeURIComponent(registry)}` : '',
    version: pin ?? version,
  };
}

function find(
  { asking, signal, rounds }: DownloadSession,
  artifact: ImageArtifact,
  location: ManifestLocation,
): Promise<FetchedManifest | undefined> {
  return askServers(
    {
      what: `find ${describeArtifact(artifact)}`,
      rounds: rounds(artifact),
      isAbsentWhenOneSaysSo: true,
      ask: async (server) => {
        const answer = await fetchManifest(artifact, location, { server, signal });
        return answer.kind === 'done'
          ? await requireArchitecture(answer, artifact, { server, signal, location })
          : answer;
      },
    },
    asking,
  );
}

/** A tag that leads to no index is of one architecture, and only its configuration says of which. */
async function requireArchitecture(
  answer: Answer<FetchedManifest> & { readonly kind: 'done' },
  { arch }: ImageArtifact,
  context: { readonly server: Server; readonly signal: AbortSignal; location: ManifestLocation },
): Promise<Answer<FetchedManifest>> {
  const { value } = answer;
  if (value.location.version !== context.location.version) return answer;
  const found = await fetchConfigArchitecture(value, context);
  if (found.kind !== 'done' || found.value === arch) {
    return found.kind === 'done' ? answer : found;
  }
  const why = `it has this image for ${found.value}, not for ${arch}`;
  return { kind: 'refused', reason: 'wrong-content', why };
}
