import { stat } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../base/errors.ts';
import { type BlobReference, hasBlob, hashBytes } from './blobs.ts';
import { canonicalJson } from './canonical-json.ts';
import { isDigest, parseImageReference } from './image-reference.ts';
import { mediaTypes } from './media-types.ts';
import { type EntryContent, entryContent } from './oci-documents.ts';
import { type RegistryRefusal, refuse } from './registry-request.ts';
import { type ArtifactStore, readManifest, readStoreIndex } from './store.ts';
import type { Descriptor, OciManifest } from './types.ts';

/** What the store offers: small, since it has no contents. */
export interface RegistryCatalog {
  readonly entries: readonly CatalogEntry[];
  /** Sizes of all blobs that an entry names, by digest. Not each of them is there. */
  readonly blobSizes: ReadonlyMap<string, number>;
}

/** An entry of the store under the name that clients ask for. */
export interface CatalogEntry {
  readonly entry: Descriptor;
  readonly content: Extract<EntryContent, { arch: string }>;
  /** Left out for components: they are of no registry. */
  readonly registry: string | undefined;
  readonly repository: string;
  readonly tag: string;
  /** Without these the entry is of no use to a client: all blobs of an image. */
  readonly required: readonly BlobReference[];
}

/** A manifest of the store, or an index made of several. */
export type FoundManifest =
  | { readonly kind: 'entry'; readonly entry: CatalogEntry }
  | { readonly kind: 'index'; readonly content: Buffer; readonly digest: string }
  | RegistryRefusal;

export interface ManifestQuestion {
  readonly repository: string;
  readonly registry: string | undefined;
  /** A tag or `sha256:…`. */
  readonly version: string;
  /** What the client can run, when it says so. */
  readonly arch: string | undefined;
  readonly takesIndex: boolean;
}

/** Reads the catalog, and again only after index.json was replaced. */
export function cachedCatalog(store: ArtifactStore): () => Promise<RegistryCatalog> {
  let known: { readonly mark: string; readonly catalog: Promise<RegistryCatalog> } | undefined;
  return async () => {
    const file = path.join(store.directory, 'index.json');
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    const mark = `${ino} ${size} ${mtimeNs}`;
    if (known?.mark !== mark) known = { mark, catalog: readCatalog(store) };
    try {
      return await known.catalog;
    } catch (error) {
      known = undefined;
      throw error;
    }
  };
}

export async function readCatalog(store: ArtifactStore): Promise<RegistryCatalog> {
  const entries: CatalogEntry[] = [];
  const blobSizes = new Map<string, number>();
  for (const entry of (await readStoreIndex(store)).manifests) {
    const manifest = await readUsableManifest(store, entry);
    if (manifest === undefined) continue;
    const blobs = [manifest.config, ...manifest.layers];
    for (const { digest, size } of [entry, ...blobs]) blobSizes.set(digest, size);
    const named = nameEntry(entry);
    if (named === undefined) continue;
    entries.push({ ...named, entry, required: named.content.kind === 'image' ? blobs : [] });
  }
  return { entries, blobSizes };
}

/** What a client gets for a name and a tag or digest. */
export async function findManifest(
  store: ArtifactStore,
  catalog: RegistryCatalog,
  question: ManifestQuestion,
): Promise<FoundManifest> {
  const named: CatalogEntry[] = [];
  for (const entry of catalog.entries) {
    if (!hasName(entry, question)) continue;
    if (await isComplete(store, entry)) named.push(entry);
  }
  return isDigest(question.version) ? findByDigest(named, question) : findByTag(named, question);
}

/** Tags of a repository, sorted. */
export function listTags(
  catalog: RegistryCatalog,
  question: { readonly repository: string; readonly registry: string | undefined },
): readonly string[] {
  const named = catalog.entries.filter((entry) => hasName(entry, question));
  return [...new Set(named.map(({ tag }) => tag))].sort();
}

/** Whether everything is there without which the entry is of no use. */
export async function isComplete(store: ArtifactStore, entry: CatalogEntry): Promise<boolean> {
  for (const blob of [entry.entry, ...entry.required]) {
    if (!(await hasBlob(store.directory, blob))) return false;
  }
  return true;
}

function findByDigest(named: readonly CatalogEntry[], question: ManifestQuestion): FoundManifest {
  const entry = named.find((candidate) => candidate.entry.digest === question.version);
  if (entry !== undefined) return { kind: 'entry', entry };
  const groups = Map.groupBy(named, ({ registry, tag }) => `${registry}:${tag}`);
  for (const group of groups.values()) {
    const index = group.length > 1 ? makeIndex(group) : undefined;
    if (index?.digest === question.version) return index;
  }
  return unknown(question);
}

function findByTag(named: readonly CatalogEntry[], question: ManifestQuestion): FoundManifest {
  const { arch } = question;
  const tagged = named.filter(({ tag }) => tag === question.version);
  if (new Set(tagged.map(({ registry }) => registry)).size > 1) {
    const registries = tagged.map(({ registry }) => registry).join(', ');
    return refuse(404, 'MANIFEST_UNKNOWN', `images of ${registries} have this name: add ?ns=`);
  }
  const runnable = tagged.filter(({ content }) => content.arch === arch);
  const [first, second] = arch === undefined ? tagged : runnable;
  if (first === undefined) return unknown(question);
  if (tagged.length > 1 && question.takesIndex) return makeIndex(tagged);
  if (second === undefined) return { kind: 'entry', entry: first };
  const architectures = tagged.map(({ content }) => content.arch).join(', ');
  return refuse(404, 'MANIFEST_UNKNOWN', `it is there for ${architectures}: accept an index`);
}

/** One manifest for several architectures: the same entries always give the same bytes. */
function makeIndex(entries: readonly CatalogEntry[]): FoundManifest & { readonly digest: string } {
  const manifests = entries
    .map(({ entry: { mediaType, digest, size, platform } }) => ({
      ...{ mediaType, digest, size, platform },
    }))
    .toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests };
  const content = Buffer.from(canonicalJson(index));
  return { kind: 'index', content, digest: hashBytes(content).digest };
}

function hasName(
  entry: CatalogEntry,
  wanted: { readonly repository: string; readonly registry: string | undefined },
): boolean {
  if (entry.repository !== wanted.repository) return false;
  return wanted.registry === undefined || entry.registry === wanted.registry;
}

function nameEntry(entry: Descriptor): Omit<CatalogEntry, 'entry' | 'required'> | undefined {
  const content = entryContent(entry);
  switch (content.kind) {
    case 'component':
      return {
        content,
        registry: undefined,
        repository: componentRepository(content.name),
        tag: componentTag(content),
      };
    case 'image': {
      const name = parseImageReference(content.reference);
      if (name === undefined) return undefined;
      return { content, registry: name.registry, repository: name.repository, tag: name.version };
    }
    // Controllers apply them; nobody asks for them.
    case 'manifests':
    case 'other':
      return undefined;
  }
}

/** Where a component's executables are in the registry. */
export function componentRepository(name: string): string {
  return `mini-k8s/${name}`;
}

/** `1.37.1-amd64` */
export function componentTag(component: {
  readonly version: string;
  readonly arch: string;
}): string {
  return `${component.version}-${component.arch}`;
}

/** Undefined for a manifest that is missing, damaged or of a kind that no bundle has: the others are served all the same. */
async function readUsableManifest(
  store: ArtifactStore,
  entry: Descriptor,
): Promise<OciManifest | undefined> {
  try {
    return await readManifest(store.directory, entry);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function unknown({ repository, version, arch }: ManifestQuestion): RegistryRefusal {
  const forArch = arch === undefined ? '' : ` for ${arch}`;
  return refuse(404, 'MANIFEST_UNKNOWN', `the store has no ${repository} ${version}${forArch}`);
}
