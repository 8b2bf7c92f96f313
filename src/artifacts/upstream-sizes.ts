import { sizeOfPartial } from './blobs.ts';
import { type DownloadProgress, startDownloadProgress } from './download-progress.ts';
import { requireSpace } from './needed-blobs.ts';
import { runBounded } from './run-bounded.ts';
import type { WantedFile } from './upstream-files.ts';
import {
  parallelFiles,
  sourceName,
  type UpstreamSession,
  type UpstreamSourceOptions,
} from './upstream-session.ts';

/** While an archive is unpacked it and its members are there. Executables compress to less than half. */
const archiveSpaceFactor = 3;

/**
 * Asks how large the files are, and begins to tell how far their download is.
 * @throws UserError when there is no room for what is known.
 */
export async function startUpstreamProgress(
  session: UpstreamSession,
  files: readonly WantedFile[],
  options: UpstreamSourceOptions,
): Promise<DownloadProgress> {
  const { store } = session;
  const sizes = await askSizes(session, files);
  const source = sourceName(options);
  let neededBytes = 0;
  for (const { digest, isArchive } of files) {
    const size = sizes.get(digest) ?? 0;
    const here = Math.min(size, await sizeOfPartial(store.directory, digest));
    neededBytes += size * (isArchive ? archiveSpaceFactor : 1) - here;
  }
  await requireSpace(store, neededBytes, `download from ${source}`);
  return startDownloadProgress({ ...options, source, sizes });
}

/** By digest, as far as servers say it. None is asked any more when one cannot be reached: the download says why. */
async function askSizes(
  session: UpstreamSession,
  files: readonly WantedFile[],
): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  try {
    await runBounded(files, parallelFiles, async (file) => {
      const size = await askSize(session, file);
      if (size !== undefined) sizes.set(file.digest, size);
    });
  } catch {
    session.signal.throwIfAborted();
  }
  return sizes;
}

async function askSize(session: UpstreamSession, file: WantedFile): Promise<number | undefined> {
  const { signal, connection, locate } = session;
  const response = await connection.get(locate(file), { method: 'HEAD', headers: {}, signal });
  const size = Number(response.header('content-length') ?? Number.NaN);
  response.discard();
  return response.status === 200 && !Number.isNaN(size) ? size : undefined;
}
