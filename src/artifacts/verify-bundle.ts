import { createHash } from 'node:crypto';
import { hashBytes } from './blobs.ts';
import { readBundleFiles } from './bundle-files.ts';
import { type BundleHead, readBundleHead, readDocument } from './bundle-head.ts';
import { blobsOfEntry } from './needed-blobs.ts';
import {
  describeContent,
  entryContent,
  executableName,
  manifestFileName,
  parseManifest,
} from './oci-documents.ts';
import type { TarFile } from './tar-entries.ts';
import type { Descriptor, OciManifest } from './types.ts';

/** One thing in a bundle. */
export interface BundleEntry {
  /** `kubernetes 1.37.1 (amd64)`. */
  readonly name: string;
  readonly kind: 'component' | 'image' | 'manifests' | 'other';
  /** Of its manifest. */
  readonly digest: string;
  /** Of all its blobs as the manifest names them. */
  readonly sizeBytes: number;
  /** Executables, or files of a stack; empty for an image. */
  readonly files: readonly string[];
}

export interface BundleContentsReport {
  readonly head: BundleHead;
  readonly entries: readonly BundleEntry[];
}

/** What is in a bundle, as far as its first files tell. @throws UserError when it is none. */
export async function listBundle(
  bundle: string,
  signal: AbortSignal,
): Promise<BundleContentsReport> {
  const what = `read the bundle ${bundle}`;
  const head = await readBundleHead(bundle, { what, needsSignatures: true, signal });
  const manifests = await readManifests(bundle, head, { what, signal });
  return { head, entries: describeEntries(head, manifests) };
}

export interface BundleVerification extends BundleContentsReport {
  readonly blobs: number;
  readonly sizeBytes: number;
  /** What is wrong, as a person reads it; empty when all is well. */
  readonly problems: readonly string[];
}

/** Reads everything in a bundle, compares it with its digest, and looks that nothing is missing. Writes nothing. */
export async function verifyBundle(
  bundle: string,
  options: {
    readonly signal: AbortSignal;
    readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  },
): Promise<BundleVerification> {
  const { signal } = options;
  const what = `verify the bundle ${bundle}`;
  const head = await readBundleHead(bundle, { what, needsSignatures: true, signal });
  const manifests = await readManifests(bundle, head, { what, signal });
  const problems: string[] = [];
  const found = new Map<string, number>();
  await readBundleFiles(bundle, {
    ...{ ...options, what },
    onFile: async (file) => {
      const digest = digestOf(file);
      if (digest === undefined) return undefined;
      const actual = await hashContent(file);
      if (actual !== digest) problems.push(`${file.path}: its content has ${actual}`);
      found.set(digest, file.sizeBytes);
      return undefined;
    },
  });
  problems.push(...findMissing(head, manifests, found));
  const sizeBytes = [...found.values()].reduce((sum, size) => sum + size, 0);
  const entries = describeEntries(head, manifests);
  return { head, entries, problems, blobs: found.size, sizeBytes };
}

type Manifests = ReadonlyMap<string, OciManifest>;

/** By digest; what is missing or damaged is left out. */
async function readManifests(
  bundle: string,
  { index }: BundleHead,
  options: { readonly what: string; readonly signal: AbortSignal },
): Promise<Manifests> {
  const wanted = new Set(index.manifests.map(({ digest }) => digest));
  const manifests = new Map<string, OciManifest>();
  await readBundleFiles(bundle, {
    ...options,
    onFile: async (file) => {
      const digest = digestOf(file);
      if (digest === undefined || !wanted.delete(digest)) return undefined;
      const content = await readDocument(file, options.what);
      if (hashBytes(content).digest === digest) {
        manifests.set(digest, parseManifest(content.toString('utf8'), `${bundle} (${file.path})`));
      }
      return wanted.size === 0 ? 'enough' : undefined;
    },
  });
  return manifests;
}

function describeEntries({ index }: BundleHead, manifests: Manifests): readonly BundleEntry[] {
  return index.manifests.map((entry) => {
    const content = entryContent(entry);
    const { layers = [], config } = manifests.get(entry.digest) ?? {};
    const blobs = [entry, ...(config === undefined ? [] : [config]), ...layers];
    return {
      name: describeContent(content),
      kind: content.kind,
      digest: entry.digest,
      sizeBytes: blobs.reduce((sum, { size }) => sum + size, 0),
      files: layers.flatMap((layer) => executableName(layer) ?? manifestFileName(layer) ?? []),
    };
  });
}

function findMissing(
  { index }: BundleHead,
  manifests: Manifests,
  found: ReadonlyMap<string, number>,
): readonly string[] {
  const problems: string[] = [];
  const check = ({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, description: string) => {
    const there = found.get(digest);
    if (there === undefined) problems.push(`${description} is missing: there is no ${digest}`);
    else if (there !== size) {
      problems.push(`${description} has ${there} bytes instead of ${size}`);
    }
  };
  for (const entry of index.manifests) {
    check(entry, `the manifest of ${describeContent(entryContent(entry))}`);
    const manifest = manifests.get(entry.digest);
    if (manifest === undefined) continue;
    for (const blob of blobsOfEntry(entry, manifest, undefined)) check(blob, blob.description);
  }
  return problems;
}

function digestOf({ path }: TarFile): string | undefined {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

async function hashContent({ content }: TarFile): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of content) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}
