import { rm, stat } from 'node:fs/promises';
import { errorCode, UserError } from '../base/errors.ts';
import { askServers } from './ask-servers.ts';
import { type BlobReference, hasBlob, partialPath, writeBlob } from './blobs.ts';
import type { FetchedManifest } from './controller-source-manifest.ts';
import { orWithout, type Session, sourceName } from './controller-source-session.ts';
import { downloadFrom } from './download-blob.ts';
import { blobsOfEntry, type NeededBlob, requireSpace } from './needed-blobs.ts';
import { openPartial } from './partial-blob.ts';
import { isDiskFull } from './server-answer.ts';
import { type ArtifactStore, commitEntries } from './store.ts';
import type { ArtifactSpec } from './types.ts';

/** An artifact that a controller has. */
export interface FoundArtifact extends FetchedManifest {
  readonly artifact: ArtifactSpec;
  /** All that is wanted: which executables of a component are is said in several artifacts perhaps. */
  readonly wanted: readonly ArtifactSpec[];
}

/**
 * Downloads what the store lacks, one blob after the other; each artifact is visible as soon as it is complete.
 * @returns digests of what is still lacking, since no controller has it or it was an image's.
 */
export async function downloadEntries(
  session: Session,
  found: readonly FoundArtifact[],
): Promise<readonly string[]> {
  const { store, options, asking } = session;
  const startedAt = options.clock.now();
  const before = await listMissing(store, found);
  const neededBytes = await bytesToCome(store, before);
  await requireSpace(store, neededBytes, `download from ${sourceName(asking.servers)}`);
  const progress = startProgress(session, before);
  for (const entry of found) {
    await orWithout(session, entry.artifact, () => downloadEntry(session, entry, progress));
  }
  const after = await listMissing(store, found);
  options.onEvent({
    type: 'import-finished',
    source: sourceName(asking.servers),
    blobs: before.length - after.length,
    elapsedMs: options.clock.now() - startedAt,
  });
  return after.map(({ digest }) => digest);
}

async function downloadEntry(
  session: Session,
  found: FoundArtifact,
  progress: Progress,
): Promise<void> {
  const { store, signal } = session;
  const { entry, content } = found;
  let isComplete = true;
  for (const blob of blobsOf(found)) {
    if (await hasBlob(store.directory, blob)) continue;
    if (!(await downloadBlob(session, { found, blob, progress }))) isComplete = false;
  }
  // Of a component one executable may be used without the others.
  if (!isComplete && found.artifact.kind === 'image') return;
  const write = { expected: { digest: entry.digest, size: entry.size }, origin: 'memory', signal };
  if (!(await hasBlob(store.directory, entry))) {
    await writeBlob(store.directory, once(content), write);
  }
  await commitEntries(store, [entry]);
}

interface BlobTask {
  readonly found: FoundArtifact;
  readonly blob: NeededBlob;
  readonly progress: Progress;
}

/** @returns whether the store has the blob now; not when no controller has it. */
async function downloadBlob(session: Session, task: BlobTask): Promise<boolean> {
  const { store, asking, signal } = session;
  const { blob, found, progress } = task;
  const { repository, query } = found.location;
  const path = `/v2/${repository}/blobs/${blob.digest}${query}`;
  const what = `download ${blob.description}`;
  const onProgress = (size: number) => progress.report(blob.digest, size);
  try {
    const partial = await openPartial(store.directory, blob);
    try {
      onProgress(partial.size());
      const answer = await askServers(
        {
          what,
          rounds: session.rounds(found.artifact),
          isAbsentWhenOneSaysSo: false,
          ask: (controller) =>
            downloadFrom({ blob, path, partial, onProgress, signal }, controller),
        },
        asking,
      );
      return answer !== undefined;
    } finally {
      await partial.close();
    }
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    // Half a download is worth less than a machine that has room to write.
    await rm(partialPath(store.directory, blob.digest), { force: true });
    throw new UserError({
      what,
      why: `the file system of ${store.directory} is full`,
      fix: 'free space there and start again',
      cause: error,
    });
  }
}

/** Blobs that the store lacks, each once. */
async function listMissing(
  store: ArtifactStore,
  found: readonly FoundArtifact[],
): Promise<readonly NeededBlob[]> {
  const missing = new Map<string, NeededBlob>();
  for (const blob of found.flatMap(blobsOf)) {
    if (!(await hasBlob(store.directory, blob))) missing.set(blob.digest, blob);
  }
  return [...missing.values()];
}

function blobsOf({ entry, manifest, wanted }: FoundArtifact): readonly NeededBlob[] {
  return blobsOfEntry(entry, manifest, wanted);
}

/** Without what is there already of downloads that were cut. */
async function bytesToCome(store: ArtifactStore, blobs: readonly BlobReference[]): Promise<number> {
  let bytes = 0;
  for (const { digest, size } of blobs) {
    bytes += size - Math.min(size, await sizeOf(partialPath(store.directory, digest)));
  }
  return bytes;
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

interface Progress {
  /** How many bytes of a blob are there. */
  report(digest: string, size: number): void;
}

/** Tells how far the download is, at most once per hundredth; what an earlier process left counts at once. */
function startProgress({ options, asking }: Session, blobs: readonly BlobReference[]): Progress {
  const totalBytes = blobs.reduce((sum, { size }) => sum + size, 0);
  const source = sourceName(asking.servers);
  options.onEvent({ type: 'import-started', source, totalBytes });
  const sizes = new Map<string, number>();
  let doneBytes = 0;
  let reported = 0;
  return {
    report: (digest, size) => {
      doneBytes += size - (sizes.get(digest) ?? 0);
      sizes.set(digest, size);
      if (doneBytes - reported < totalBytes / 100) return;
      reported = doneBytes;
      options.onEvent({ type: 'import-progress', source, doneBytes, totalBytes });
    },
  };
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
