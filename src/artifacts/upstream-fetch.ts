import { UserError } from '../base/errors.ts';
import { askServers, type Server } from './ask-servers.ts';
import { blobPath } from './blobs.ts';
import { downloadFrom } from './download-blob.ts';
import type { DownloadProgress } from './download-progress.ts';
import type { HttpConnection } from './http-connection.ts';
import { openPartial } from './partial-blob.ts';
import { openPartialMark } from './partial-mark.ts';
import type { Descriptor } from './types.ts';
import type { WantedFile } from './upstream-files.ts';
import type { UpstreamSession } from './upstream-session.ts';
import { executableLayer, findBlob } from './upstream-store.ts';

/**
 * Downloads a file, verifies it, and takes what is wanted out of it.
 * @returns the layers of its executables; their blobs are in the store.
 * @throws UserError when it cannot be had.
 */
export async function fetchFile(
  session: UpstreamSession,
  file: WantedFile,
  progress: DownloadProgress,
): Promise<readonly Descriptor[]> {
  const { store, signal } = session;
  const blob =
    (await findBlob(store, file.digest)) ?? (await downloadFile(session, file, progress));
  if (!file.isArchive) return file.members.map(({ name }) => executableLayer(file, name, blob));
  const { unpackArchive } = await import('./unpack-archive.ts');
  const members = await session.unpackInTurn(() =>
    unpackArchive({
      file: blobPath(store.directory, file.digest),
      wanted: file,
      layoutDirectory: store.directory,
      signal,
    }),
  );
  return [...members].map(([name, member]) => executableLayer(file, name, member));
}

async function downloadFile(
  session: UpstreamSession,
  file: WantedFile,
  progress: DownloadProgress,
): Promise<{ readonly digest: string; readonly size: number }> {
  const { store, asking, signal } = session;
  const { digest, description } = file;
  const path = session.locate(file);
  const what = `download ${description}`;
  const mark = await openPartialMark(store.directory, digest);
  const partial = await openPartial(store.directory, { digest });
  try {
    const onProgress = (size: number, totalSize: number | undefined) =>
      progress.report(digest, size, totalSize);
    onProgress(partial.size(), mark.known()?.size);
    const download = { blob: { digest, description }, path, partial, mark, onProgress, signal };
    const done = await askServers(
      {
        what,
        rounds: session.rounds,
        isAbsentWhenOneSaysSo: true,
        ask: (server) => downloadFrom(download, server),
      },
      { ...asking, servers: [serverOf(path, session.connection)] },
    );
    if (done === undefined) {
      throw new UserError({ what, why: `there is no ${path} (404)`, fix: session.absentFix });
    }
    await mark.remove();
    return { digest, size: partial.size() };
  } finally {
    await partial.close();
    if (partial.size() === 0) await mark.remove();
  }
}

function serverOf(address: string, connection: HttpConnection): Server {
  return { name: new URL(address).host, connection };
}
