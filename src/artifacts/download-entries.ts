import { rm } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { askServers } from './ask-servers.ts';
import { type BlobReference, hasBlob, partialPath, sizeOfPartial, writeBlob } from './blobs.ts';
import { downloadFrom } from './download-blob.ts';
import { type DownloadProgress, startDownloadProgress } from './download-progress.ts';
import { type DownloadSession, orWithout } from './download-session.ts';
import type { FetchedManifest } from './fetch-manifest.ts';
import { blobsOfEntry, type NeededBlob, requireSpace } from './needed-blobs.ts';
import { openPartial } from './partial-blob.ts';
import { isDiskFull } from './server-answer.ts';
import { type ArtifactStore, commitEntries } from './store.ts';
import type { ArtifactSpec } from './types.ts';

/** An artifact that a server has. */
export interface FoundArtifact extends FetchedManifest {
  readonly artifact: ArtifactSpec;
  /** All that is wanted: which executables of a component are is said in several artifacts perhaps. */
  readonly wanted: readonly ArtifactSpec[];
}

/**
 * Downloads what the store lacks, one blob after the other; each artifact is visible as soon as it is complete.
 * @returns digests of what is still lacking, since no server has it or it was an image's.
 */
export async function downloadEntries(
  session: DownloadSession,
  found: readonly FoundArtifact[],
): Promise<readonly string[]> {
  const { store, clock, onEvent } = session;
  const startedAt = clock.now();
  const before = await listMissing(store, found);
  const neededBytes = await bytesToCome(store, before);
  await requireSpace(store, neededBytes, `download from ${session.sourceName()}`);
  const progress = startDownloadProgress({
    ...{ clock, onEvent },
    source: session.sourceName(),
    sizes: new Map(before.map(({ digest, size }) => [digest, size])),
  });
  for (const entry of found) {
    await orWithout(session, entry.artifact, () => downloadEntry(session, entry, progress));
  }
  const after = await listMissing(store, found);
  onEvent({
    type: 'import-finished',
    source: session.sourceName(),
    blobs: before.length - after.length,
    elapsedMs: clock.now() - startedAt,
  });
  return after.map(({ digest }) => digest);
}

async function downloadEntry(
  session: DownloadSession,
  found: FoundArtifact,
  progress: DownloadProgress,
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
  readonly progress: DownloadProgress;
}

/** @returns whether the store has the blob now; not when no server has it. */
async function downloadBlob(session: DownloadSession, task: BlobTask): Promise<boolean> {
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
          ask: (server) => downloadFrom({ blob, path, partial, onProgress, signal }, server),
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
    bytes += size - Math.min(size, await sizeOfPartial(store.directory, digest));
  }
  return bytes;
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
