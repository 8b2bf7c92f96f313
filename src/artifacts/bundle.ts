import { link, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, UserError } from '../base/errors.ts';
import {
  type BlobReference,
  blobPath,
  clearTemporary,
  hashFile,
  readChunks,
  readReusedChunks,
  writeBlob,
} from './blobs.ts';
import { readDocument } from './bundle-head.ts';
import {
  type BundleImport,
  completeImport,
  malformed,
  missing,
  neededBlobs,
  takeBlob,
  takeIndex,
  undoImport,
} from './bundle-import.ts';
import { catalogPins, type Pins } from './bundle-trust.ts';
import { checkLayoutMarker, describeContent, entryContent } from './oci-documents.ts';
import { type ArtifactStore, commitEntries, pruneStore } from './store.ts';
import type { TarFile } from './tar-entries.ts';
import type { Architecture, ArtifactEvent, ArtifactSource, ArtifactSpec } from './types.ts';

export interface BundleOptions {
  /** A directory, a `.tar` or a `.tar.zst` that holds an OCI image layout. */
  readonly path: string;
  readonly store: ArtifactStore;
  /** sha256 in hex of the bundle's index.json: the value of `--trust-bundle`. */
  readonly trustBundle?: string;
  /** Accept nothing but the bundle that `trustBundle` names, upstream's own neither. */
  readonly requiresTrust?: boolean;
  /** Also what rides along for nodes of this architecture. */
  readonly ridersFor?: Architecture;
  /** For development: hard links to the blobs of a bundle directory instead of copies. They are hashed all the same. */
  readonly linkBlobs?: boolean;
  /** Import everything when the bundle has something that is lacking: a controller serves other nodes too. */
  readonly takesAll?: boolean;
  /** Default: the pins of assets/artifacts.json. */
  readonly pins?: Pins;
  readonly onEvent: (event: ArtifactEvent) => void;
}

export interface ImportResult {
  /** sha256 in hex of the bundle's index.json. */
  readonly indexSha256: string;
  /** Everything that the bundle has, as a person reads it: `kubernetes 1.37.1 (amd64)`. */
  readonly contents: readonly string[];
  /** How many entries are in the store now because of this bundle. */
  readonly imported: number;
}

/** A bundle as a source for `ensureArtifacts`: read only when the store lacks something, and only for that. */
export function createBundleSource(options: BundleOptions): ArtifactSource {
  return {
    description: `bundle ${options.path}`,
    provide: async (artifacts, signal) => {
      return (await importBundle({ ...options, lacking: artifacts, signal })).contents;
    },
  };
}

/**
 * Imports a bundle, or what `lacking` needs of it, into the store: each blob is hashed while it is written, index.json
 * of the store is replaced last. After a kill or a power cut at any point the store is as before, and the next import
 * keeps the blobs that were complete.
 * @throws UserError for a bundle that is damaged, incomplete or not trusted, and for a full disk.
 */
export async function importBundle(
  options: BundleOptions & {
    readonly lacking?: readonly ArtifactSpec[] | undefined;
    readonly signal: AbortSignal;
  },
): Promise<ImportResult> {
  const state: BundleImport = {
    store: options.store,
    origin: options.path,
    wanted: options.takesAll === true ? undefined : options.lacking,
    lacking: options.lacking,
    ridersFor: options.ridersFor,
    trustBundle: options.trustBundle?.replace(/^sha256:/, '').toLowerCase(),
    requiresTrust: options.requiresTrust ?? false,
    pins: options.pins ?? catalogPins,
    index: undefined,
    manifests: new Map(),
    written: new Set(),
  };
  const startedAt = performance.now();
  try {
    await clearTemporary(options.store.directory, () => true);
    await readBundle(state, options);
    const entries = await completeImport(state);
    if (entries.length > 0) await commitEntries(options.store, entries);
  } catch (error) {
    if (!options.signal.aborted) await undoImport(state);
    throw explain(error, options);
  }
  await pruneStore(options.store);
  options.onEvent({
    type: 'import-finished',
    source: options.path,
    blobs: state.written.size,
    elapsedMs: Math.round(performance.now() - startedAt),
  });
  const entries = state.index?.all.manifests ?? [];
  return {
    indexSha256: state.index?.sha256 ?? '',
    contents: entries.map((entry) => describeContent(entryContent(entry))),
    imported: state.index?.selected.length ?? 0,
  };
}

type ReadOptions = BundleOptions & { readonly signal: AbortSignal };

async function readBundle(state: BundleImport, options: ReadOptions): Promise<void> {
  const found = await stat(options.path);
  if (found.isDirectory()) return await readDirectory(state, options);
  // Loaded only now: an ordinary start reads no archive and can do without the 4 MB.
  const { openArchive } = await import('./bundle-stream.ts');
  const { readTar } = await import('./tar-entries.ts');
  const progress = reportProgress(options, found.size);
  const chunks = await openArchive(options.path, { onProgress: progress });
  let files = 0;
  await readTar(chunks, {
    what: `import ${options.path}`,
    fix: 'copy the bundle again and compare its checksum with that of the original',
    signal: options.signal,
    onFile: async (file) => {
      files += 1;
      if (files > maxFiles) throw malformed(state, `it has more than ${maxFiles} files`);
      await takeFile(state, file, options.signal);
    },
  });
}

/** A bundle has some dozen blobs. This keeps a hostile one from filling memory or the disk's inodes. */
const maxFiles = 10_000;

async function takeFile(state: BundleImport, file: TarFile, signal: AbortSignal): Promise<void> {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(file.path)?.[1];
  if (hex !== undefined) {
    const blob = { digest: `sha256:${hex}`, size: file.sizeBytes };
    const write = { expected: blob, origin: state.origin, signal };
    await takeBlob(state, blob, () => writeBlob(state.store.directory, file.content, write));
  } else if (file.path === 'index.json') {
    await takeIndex(state, await readDocument(file, `import ${state.origin}`));
  } else if (file.path === 'oci-layout') {
    const content = await readDocument(file, `import ${state.origin}`);
    checkLayoutMarker(content.toString('utf8'), `${state.origin} (oci-layout)`);
  }
  // Other files (docker's manifest.json beside the layout) are not ours.
}

async function readDirectory(state: BundleImport, options: ReadOptions): Promise<void> {
  for (const name of ['oci-layout', 'index.json']) {
    const file = path.join(options.path, name);
    const { size } = await stat(file);
    await takeFile(
      state,
      { path: name, sizeBytes: size, content: readChunks(file) },
      options.signal,
    );
  }
  for (const entry of state.index?.selected ?? []) {
    const description = `manifest of ${describeContent(entryContent(entry))}`;
    await takeBlobFile(state, { ...entry, description }, options);
  }
  const blobs = neededBlobs(state) ?? [];
  const progress = reportProgress(
    options,
    blobs.reduce((sum, blob) => sum + blob.size, 0),
  );
  let doneBytes = 0;
  for (const blob of blobs) {
    await takeBlobFile(state, blob, options);
    doneBytes += blob.size;
    progress(doneBytes);
  }
}

async function takeBlobFile(
  state: BundleImport,
  blob: BlobReference & { readonly description: string },
  options: ReadOptions,
): Promise<void> {
  const file = blobPath(options.path, blob.digest);
  const expected = { digest: blob.digest, size: blob.size };
  const write = { expected, origin: file, signal: options.signal };
  try {
    await takeBlob(state, expected, () =>
      options.linkBlobs === true
        ? linkBlob(state, file, expected)
        : writeBlob(state.store.directory, readReusedChunks(file), write),
    );
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw missing(state, blob, blob.description);
    throw error;
  }
}

async function linkBlob(state: BundleImport, file: string, expected: BlobReference): Promise<void> {
  const target = blobPath(state.store.directory, expected.digest);
  await rm(target, { force: true });
  const found = await hashFile(file);
  if (found.digest !== expected.digest) {
    throw malformed(state, `${file} has ${found.digest} instead of ${expected.digest}`);
  }
  await link(file, target);
  const handle = await open(target, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Tells how far the import is, at most once per hundredth. */
function reportProgress(options: ReadOptions, totalBytes: number): (doneBytes: number) => void {
  const source = options.path;
  options.onEvent({ type: 'import-started', source, totalBytes });
  let reported = 0;
  return (doneBytes) => {
    if (doneBytes - reported < totalBytes / 100) return;
    reported = doneBytes;
    options.onEvent({ type: 'import-progress', source, doneBytes, totalBytes });
  };
}

/** System errors in the words of the user; everything else stays what it is. */
function explain(error: unknown, options: BundleOptions): unknown {
  const code = errorCode(error);
  const what = `import ${options.path}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const why = `the file system of ${options.store.directory} is full`;
    return new UserError({ what, why, fix: 'free space there and start again', cause: error });
  }
  if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR' || code === 'EIO') {
    const why = error instanceof Error ? error.message : code;
    return new UserError({ what, why, fix: 'check the path after --bundle', cause: error });
  }
  return error;
}
