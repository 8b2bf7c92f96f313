import type { Answer, Server } from './ask-servers.ts';
import { type BlobReference, hashBytes } from './blobs.ts';
import type { HttpResponse } from './http-connection.ts';
import { isDigest, parseImageReference } from './image-reference.ts';
import { annotations, mediaTypes } from './media-types.ts';
import { maxDocumentBytes, parseIndex, parseManifest } from './oci-documents.ts';
import { componentRepository, componentTag } from './registry-catalog.ts';
import type { OfferedManifest } from './registry-offer.ts';
import { architectureHeader, builtFromHeader } from './registry-request.ts';
import { answerFailure, answerStatus, WrongContentError, wrongContent } from './server-answer.ts';
import type { ArtifactSpec, Descriptor, ExecutableArtifact, OciManifest } from './types.ts';

/** Where a manifest is asked for. */
export interface ManifestLocation {
  readonly repository: string;
  /** `?ns=registry.k8s.io`, or empty. */
  readonly query: string;
  /** A digest where one is trusted, else a tag. */
  readonly version: string;
}

/** A manifest as it was received and verified, and the entry that it gets in the store's index. */
export interface FetchedManifest {
  readonly entry: Descriptor;
  readonly manifest: OciManifest;
  readonly content: Uint8Array;
  readonly location: ManifestLocation;
}

/**
 * Where an artifact's manifest is: by the digest that the join document names, and only without one by tag.
 * @returns undefined for a reference that no registry can be asked for.
 */
export function locateManifest(
  artifact: ArtifactSpec,
  offered: readonly OfferedManifest[],
): ManifestLocation | undefined {
  const name =
    artifact.kind === 'image' ? artifact.reference : `${artifact.name} ${artifact.version}`;
  const digest = offered.find((candidate) => candidate.name === name)?.digest;
  if (artifact.kind === 'executable') {
    const repository = componentRepository(artifact.name);
    return { repository, query: '', version: digest ?? componentTag(artifact) };
  }
  const image = parseImageReference(artifact.reference);
  if (image === undefined) return undefined;
  const query = `?ns=${encodeURIComponent(image.registry)}`;
  return { repository: image.repository, query, version: digest ?? image.version };
}

/** Asks one server for a manifest; an index over several architectures leads to the one of ours. */
export async function fetchManifest(
  artifact: ArtifactSpec,
  location: ManifestLocation,
  context: { readonly server: Server; readonly signal: AbortSignal },
): Promise<Answer<FetchedManifest>> {
  const { server, signal } = context;
  const { repository, version, query } = location;
  try {
    const response = await server.connection.get(`/v2/${repository}/manifests/${version}${query}`, {
      headers: {
        Accept: manifestTypes,
        [architectureHeader]: artifact.arch,
      },
      signal,
    });
    if (response.status !== 200) {
      response.discard();
      return answerStatus(response);
    }
    const content = await readDocument(response);
    const blob = hashBytes(content);
    if (isDigest(version) && blob.digest !== version) {
      return wrongContent(`instead of manifest ${version} it sent one with ${blob.digest}`);
    }
    const mediaType = mediaTypeOf(response.header('content-type'));
    if (mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex) {
      const digest = chooseArchitecture(content, artifact.arch);
      if (digest === undefined) return { kind: 'absent' };
      return await fetchManifest(artifact, { ...location, version: digest }, context);
    }
    const builtFrom = response.header(builtFromHeader);
    return checkManifest({ artifact, location, content, blob, mediaType, builtFrom });
  } catch (error) {
    return answerFailure(error, signal, false);
  }
}

/** For which architecture an image is, as its configuration says. */
export async function fetchConfigArchitecture(
  { location, manifest }: FetchedManifest,
  { server, signal }: { readonly server: Server; readonly signal: AbortSignal },
): Promise<Answer<string>> {
  const { digest } = manifest.config;
  try {
    const path = `/v2/${location.repository}/blobs/${digest}${location.query}`;
    const response = await server.connection.get(path, { headers: {}, signal });
    if (response.status !== 200) {
      response.discard();
      return answerStatus(response);
    }
    const content = await readDocument(response);
    if (hashBytes(content).digest !== digest) return wrongContent(`what it sent is not ${digest}`);
    const config = JSON.parse(content.toString('utf8')) as { architecture?: unknown } | null;
    return { kind: 'done', value: String(config?.architecture) };
  } catch (error) {
    if (error instanceof SyntaxError) return wrongContent('the configuration is not JSON');
    return answerFailure(error, signal, false);
  }
}

/**
 * Other versions of a component that a server has, as a person reads them: `kubernetes 1.36.4 (amd64)`.
 * Only for a message: a failure gives none.
 */
export async function listVersions(
  { name }: ExecutableArtifact,
  context: { readonly server: Server; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const path = `/v2/${componentRepository(name)}/tags/list`;
  try {
    const response = await context.server.connection.get(path, {
      headers: {},
      signal: context.signal,
    });
    const { tags } = JSON.parse((await readDocument(response)).toString()) as {
      readonly tags?: readonly unknown[];
    };
    return (tags ?? []).flatMap((tag) => {
      const [, version, arch] = /^(.+)-([a-z0-9]+)$/.exec(String(tag)) ?? [];
      return version === undefined ? [] : [`${name} ${version} (${arch})`];
    });
  } catch {
    context.signal.throwIfAborted();
    return [];
  }
}

/** `kubernetes 1.37.1 (amd64)`, or an image. */
export function describeArtifact(artifact: ArtifactSpec): string {
  return artifact.kind === 'image'
    ? `image ${artifact.reference} (${artifact.arch})`
    : `${artifact.name} ${artifact.version} (${artifact.arch})`;
}

const manifestTypes = [
  mediaTypes.index,
  mediaTypes.dockerIndex,
  mediaTypes.manifest,
  mediaTypes.dockerManifest,
].join(', ');

/** Without parameters such as a charset. */
function mediaTypeOf(contentType: string | undefined): string {
  return (contentType ?? '').split(';')[0]?.trim() ?? '';
}

interface ReceivedManifest {
  readonly artifact: ArtifactSpec;
  readonly location: ManifestLocation;
  readonly content: Buffer;
  readonly blob: BlobReference;
  readonly mediaType: string;
  readonly builtFrom: string | undefined;
}

function checkManifest(received: ReceivedManifest): Answer<FetchedManifest> {
  const { artifact, content, mediaType, location } = received;
  if (mediaType !== mediaTypes.manifest && mediaType !== mediaTypes.dockerManifest) {
    return wrongContent(`a manifest of the unknown media type ${JSON.stringify(mediaType)}`);
  }
  const manifest = parseManifest(content.toString('utf8'), 'the manifest that it sent');
  const isComponent = manifest.artifactType === mediaTypes.component;
  if (isComponent !== (artifact.kind === 'executable')) {
    return wrongContent('a manifest of another kind than the one asked for');
  }
  const entry = describeEntry(received);
  return { kind: 'done', value: { entry, manifest, content, location } };
}

/** What the index of a bundle would say about it. */
function describeEntry({ artifact, blob, mediaType, builtFrom }: ReceivedManifest): Descriptor {
  const platform = { os: 'linux', architecture: artifact.arch };
  if (artifact.kind === 'image') {
    const names = {
      [annotations.refName]: artifact.reference,
      [annotations.containerdImageName]: artifact.reference,
    };
    return { mediaType, ...blob, platform, annotations: names };
  }
  const isKnown = builtFrom === 'source' || builtFrom === 'upstream';
  return {
    mediaType,
    ...blob,
    artifactType: mediaTypes.component,
    platform,
    annotations: {
      [annotations.refName]: `${artifact.name}:${artifact.version}`,
      ...(isKnown ? { [annotations.builtFrom]: builtFrom } : {}),
    },
  };
}

function chooseArchitecture(content: Buffer, arch: string): string | undefined {
  const index = parseIndex(content.toString('utf8'), 'the index that it sent');
  const entry = index.manifests.find(
    ({ platform, mediaType }) =>
      platform?.os === 'linux' && platform.architecture === arch && mediaType !== mediaTypes.index,
  );
  return entry?.digest;
}

async function readDocument(response: HttpResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  await response.receive((chunk) => {
    size += chunk.length;
    if (size > maxDocumentBytes) {
      throw new WrongContentError(`it sent a document of more than ${maxDocumentBytes} bytes`);
    }
    chunks.push(chunk);
    return undefined;
  });
  return Buffer.concat(chunks);
}
