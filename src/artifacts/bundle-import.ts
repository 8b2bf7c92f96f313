import { rm } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { type BlobReference, blobPath, hasBlob, hashBytes } from './blobs.ts';
import { findUnpinned, type Pins, saysBuiltFromSource, untrusted } from './bundle-trust.ts';
import {
  blobsOfEntry,
  isWanted,
  type NeededBlob,
  requireSpace,
  wantedExecutables,
} from './needed-blobs.ts';
import { describeContent, entryContent, maxDocumentBytes, parseIndex } from './oci-documents.ts';
import { isRider } from './riders.ts';
import { type ArtifactStore, readManifest } from './store.ts';
import type { Architecture, ArtifactSpec, Descriptor, OciIndex, OciManifest } from './types.ts';

/** One import while it runs. Blobs may arrive in any order, before or after the index. */
export interface BundleImport {
  readonly store: ArtifactStore;
  /** For messages: the path of the bundle. */
  readonly origin: string;
  /** Import only what these need; undefined = everything. */
  readonly wanted: readonly ArtifactSpec[] | undefined;
  /** Import nothing unless one of these is there; undefined = in any case. */
  readonly lacking: readonly ArtifactSpec[] | undefined;
  /** Import what rides along for nodes of this architecture too. */
  readonly ridersFor: Architecture | undefined;
  readonly trustBundle: string | undefined;
  readonly requiresTrust: boolean;
  readonly pins: Pins;
  index: SelectedIndex | undefined;
  /** By digest; complete when each selected entry has one. */
  readonly manifests: Map<string, OciManifest>;
  /** Digests of the blobs that this import wrote. */
  readonly written: Set<string>;
}

interface SelectedIndex {
  readonly sha256: string;
  readonly all: OciIndex;
  /** The entries to import. */
  readonly selected: readonly Descriptor[];
}

/**
 * Takes index.json: its sha256 is what `--trust-bundle` names.
 * @throws UserError when it is damaged, or says already that it cannot be trusted.
 */
export async function takeIndex(state: BundleImport, content: Uint8Array): Promise<void> {
  if (state.index !== undefined) throw malformed(state, 'it holds index.json twice');
  const all = parseIndex(Buffer.from(content).toString('utf8'), `${state.origin} (index.json)`);
  const sha256 = hashBytes(content).digest.slice('sha256:'.length);
  if (state.requiresTrust && state.trustBundle !== sha256) {
    throw malformed(state, 'it is another bundle than a moment ago');
  }
  const isRiding = (entry: Descriptor) => isRider(entry, state.ridersFor);
  const helps = all.manifests.some((entry) => isWanted(entry, state.lacking) || isRiding(entry));
  const isSelected = (entry: Descriptor) => isWanted(entry, state.wanted) || isRiding(entry);
  const selected = helps ? all.manifests.filter(isSelected) : [];
  state.index = { sha256, all, selected };
  const bySource = selected.find(saysBuiltFromSource);
  if (bySource !== undefined && state.trustBundle !== sha256) {
    throw distrust(state, `${describeContent(entryContent(bySource))} was built from source`);
  }
  for (const entry of selected) await loadManifest(state, entry);
  await checkWhenComplete(state);
}

/**
 * Takes one blob: `write` puts it into the store, and is called only when the blob is (or may be) needed.
 * @throws UserError when it is a manifest that makes the bundle untrusted.
 */
export async function takeBlob(
  state: BundleImport,
  blob: BlobReference,
  write: () => Promise<unknown>,
): Promise<void> {
  const existed = await hasBlob(state.store.directory, blob);
  if (!needsWriting(state, blob, existed)) return;
  await write();
  if (!existed) state.written.add(blob.digest);
  const entry = state.index?.selected.find(({ digest }) => digest === blob.digest);
  if (entry === undefined) return;
  await loadManifest(state, entry);
  await checkWhenComplete(state);
}

/** Every blob of the selected entries except the manifests; undefined until all manifests are known. */
export function neededBlobs(state: BundleImport): readonly NeededBlob[] | undefined {
  if (state.index === undefined) return undefined;
  const blobs: NeededBlob[] = [];
  for (const entry of state.index.selected) {
    const manifest = state.manifests.get(entry.digest);
    if (manifest === undefined) return undefined;
    blobs.push(...blobsOfEntry(entry, manifest, state.wanted));
  }
  return blobs;
}

/**
 * The last check before anything becomes visible. Blobs that came before the index and turned out not to be wanted
 * are removed again.
 * @returns the entries to commit.
 * @throws UserError naming the first blob that is not there.
 */
export async function completeImport(state: BundleImport): Promise<readonly Descriptor[]> {
  if (state.index === undefined) throw malformed(state, 'it has no index.json');
  for (const entry of state.index.selected) {
    if (!state.manifests.has(entry.digest)) {
      throw missing(state, entry, `manifest of ${describeContent(entryContent(entry))}`);
    }
  }
  const needed = neededBlobs(state) ?? [];
  for (const blob of needed) {
    if (!(await hasBlob(state.store.directory, blob))) throw missing(state, blob, blob.description);
  }
  const wanted = new Set([...needed, ...state.index.selected].map(({ digest }) => digest));
  await removeWritten(state, (digest) => !wanted.has(digest));
  return state.index.selected;
}

/** Removes what this import wrote, after a failure that another try with the same bundle would meet again. */
export async function undoImport(state: BundleImport): Promise<void> {
  await removeWritten(state, () => true);
}

/** The error about a blob that the index names but the bundle lacks. */
export function missing(state: BundleImport, blob: BlobReference, description: string): UserError {
  return malformed(
    state,
    `${description} is missing: no blob ${blob.digest} of ${blob.size} bytes`,
  );
}

export function malformed(state: BundleImport, why: string): UserError {
  return new UserError({
    what: `import ${state.origin}`,
    why,
    fix: 'copy the bundle again and compare its checksum with that of the original',
  });
}

async function loadManifest(state: BundleImport, entry: Descriptor): Promise<void> {
  const manifest = await readManifest(state.store.directory, entry);
  if (manifest !== undefined) state.manifests.set(entry.digest, manifest);
}

/** As soon as it is known what would be imported: is it trusted, and is there room for it? */
async function checkWhenComplete(state: BundleImport): Promise<void> {
  const needed = neededBlobs(state);
  if (state.index === undefined || needed === undefined) return;
  if (state.trustBundle !== state.index.sha256) {
    for (const entry of state.index.selected) {
      const executables = wantedExecutables(entry, state.manifests.get(entry.digest), state.wanted);
      const why = findUnpinned({ entry, executables }, state.pins);
      if (why !== undefined) throw distrust(state, why);
    }
  }
  let neededBytes = 0;
  for (const blob of needed) {
    if (!(await hasBlob(state.store.directory, blob))) neededBytes += blob.size;
  }
  await requireSpace(state.store, neededBytes, `import ${state.origin}`);
}

async function removeWritten(
  state: BundleImport,
  isUnwanted: (digest: string) => boolean,
): Promise<void> {
  for (const digest of [...state.written].filter(isUnwanted)) {
    await rm(blobPath(state.store.directory, digest), { force: true });
    state.written.delete(digest);
  }
}

function needsWriting(state: BundleImport, blob: BlobReference, existed: boolean): boolean {
  // Before the index is known every blob may be needed. A manifest's file may be there and damaged: write it again.
  if (state.index === undefined) return !existed || blob.size <= maxDocumentBytes;
  if (state.index.selected.some(({ digest }) => digest === blob.digest)) {
    return !state.manifests.has(blob.digest);
  }
  const needed = neededBlobs(state);
  return !existed && (needed?.some(({ digest }) => digest === blob.digest) ?? true);
}

function distrust(state: BundleImport, why: string): UserError {
  const { origin, trustBundle } = state;
  return untrusted({ origin, trustBundle, indexSha256: state.index?.sha256 ?? '', why });
}
