import { UserError } from '../base/errors.ts';
import { annotations, mediaTypes } from './media-types.ts';
import type { Architecture, Descriptor, OciIndex, OciManifest } from './types.ts';

/** More than any real index or manifest needs; what is larger is refused before it is read into memory. */
export const maxDocumentBytes = 4 * 1024 * 1024;

/** What an index entry stands for; `other` is left alone. */
export type EntryContent =
  | {
      readonly kind: 'component';
      readonly name: string;
      readonly version: string;
      readonly arch: string;
    }
  | { readonly kind: 'image'; readonly reference: string; readonly arch: string }
  /** Kubernetes objects that ride along; `name` is that of their stack. */
  | { readonly kind: 'manifests'; readonly name: string }
  | { readonly kind: 'other' };

/**
 * Parses the text of an index.json and checks every field that is used later.
 * @param origin For messages: `/media/usb/bundle/index.json`.
 * @throws UserError that names the field.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
 */
export function parseIndex(text: string, origin: string): OciIndex {
  const document = parseDocument(text, origin);
  const manifests = document['manifests'];
  if (!Array.isArray(manifests)) throw invalid(origin, 'manifests is not a list');
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: manifests.map((entry, i) => parseDescriptor(entry, `manifests[${i}]`, origin)),
  };
}

/**
 * Parses the text of an image or component manifest.
 * @throws UserError that names the field.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
 */
export function parseManifest(text: string, origin: string): OciManifest {
  const document = parseDocument(text, origin);
  const { layers, artifactType } = document;
  if (!Array.isArray(layers)) throw invalid(origin, 'layers is not a list');
  return {
    schemaVersion: 2,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    config: parseDescriptor(document['config'], 'config', origin),
    layers: layers.map((layer, i) => parseDescriptor(layer, `layers[${i}]`, origin)),
  };
}

/** The content of an `oci-layout` file: only version 1 of the layout is read. */
export function checkLayoutMarker(text: string, origin: string): void {
  const version = parseObject(text, origin)['imageLayoutVersion'];
  if (typeof version !== 'string' || !version.startsWith('1.')) {
    throw invalid(origin, `imageLayoutVersion is ${JSON.stringify(version)}, not 1.x`);
  }
}

/** Says what an index entry is, by its artifact type and annotations. */
export function entryContent(entry: Descriptor): EntryContent {
  const arch = entry.platform?.architecture ?? 'unknown';
  const refName = entry.annotations?.[annotations.refName] ?? '';
  if (entry.artifactType === mediaTypes.component) {
    const [name = '', version = ''] = refName.split(':');
    return { kind: 'component', name, version, arch };
  }
  if (entry.artifactType === mediaTypes.manifests) {
    return { kind: 'manifests', name: refName.replace(/^manifests\//, '') };
  }
  const reference = entry.annotations?.[annotations.containerdImageName] ?? refName;
  if (entry.artifactType !== undefined || reference === '') return { kind: 'other' };
  return { kind: 'image', reference, arch };
}

/** `kubernetes 1.37.1 (amd64)`: how a person reads an entry. */
export function describeContent(content: EntryContent): string {
  switch (content.kind) {
    case 'component':
      return `${content.name} ${content.version} (${content.arch})`;
    case 'image':
      return `image ${content.reference} (${content.arch})`;
    case 'manifests':
      return `manifests ${content.name}`;
    case 'other':
      return 'an entry of another kind';
  }
}

/** The executable's name that a component's layer carries; undefined for any other layer. */
export function executableName(layer: Descriptor): string | undefined {
  return layer.mediaType === mediaTypes.executable ? fileName(layer) : undefined;
}

/** The name of a stack's file that a layer carries; undefined for any other layer. */
export function manifestFileName(layer: Descriptor): string | undefined {
  return layer.mediaType === mediaTypes.manifestFile ? fileName(layer) : undefined;
}

/** Never a path: the name becomes one in a directory of ours. */
function fileName(layer: Descriptor): string | undefined {
  const title = layer.annotations?.[annotations.title];
  return title !== undefined && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(title) ? title : undefined;
}

export function isArchitecture(text: string): text is Architecture {
  return text === 'amd64' || text === 'arm64';
}

function parseDocument(text: string, origin: string): Record<string, unknown> {
  const document = parseObject(text, origin);
  const version = document['schemaVersion'];
  if (version !== 2) throw invalid(origin, `schemaVersion is ${JSON.stringify(version)}, not 2`);
  return document;
}

function parseDescriptor(value: unknown, field: string, origin: string): Descriptor {
  if (!isObject(value)) throw invalid(origin, `${field} is not an object`);
  const { mediaType, digest, size, artifactType } = value;
  if (typeof mediaType !== 'string') throw invalid(origin, `${field}.mediaType is not a string`);
  if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw invalid(
      origin,
      `${field}.digest is ${JSON.stringify(digest)}, not sha256:<64 hex digits>`,
    );
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(origin, `${field}.size is ${JSON.stringify(size)}, not a number of bytes`);
  }
  return {
    mediaType,
    digest,
    size,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...parsePlatform(value['platform']),
    ...parseAnnotations(value['annotations']),
  };
}

function parsePlatform(value: unknown): Pick<Descriptor, 'platform'> {
  if (!isObject(value)) return {};
  const { os, architecture } = value;
  if (typeof os !== 'string' || typeof architecture !== 'string') return {};
  return { platform: { os, architecture } };
}

function parseAnnotations(value: unknown): Pick<Descriptor, 'annotations'> {
  if (!isObject(value)) return {};
  const texts = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return texts.length === 0 ? {} : { annotations: Object.fromEntries(texts) };
}

function parseObject(text: string, origin: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalid(origin, `it is not JSON (${error.message})`, error);
  }
  if (!isObject(value)) throw invalid(origin, 'it is not a JSON object');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(origin: string, why: string, cause?: unknown): UserError {
  return new UserError({
    what: `read ${origin}`,
    why,
    fix: 'use a bundle in the OCI image layout format, as scripts/build-components writes it',
    cause,
  });
}
