import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, UserError } from '../base/errors.ts';
import { readReusedChunks } from './blobs.ts';
import type { TarFile } from './tar-entries.ts';

export interface ReadBundleOptions {
  /** The act, for messages: `verify /media/usb/bundle.tar.zst`. */
  readonly what: string;
  readonly signal: AbortSignal;
  /** Called with the bytes of the bundle that were read, and how many there are. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /**
   * Called for each file in turn; its chunks are valid until the next one is asked for. What it does not read is
   * skipped, and after `enough` nothing more is read.
   */
  readonly onFile: (file: TarFile) => Promise<'enough' | undefined>;
}

/** The files of a bundle that are no blobs, as they come first in a directory. */
const headNames = ['oci-layout', 'index.json'];

/**
 * Reads a bundle, a directory, `.tar` or `.tar.zst`, from its beginning.
 * @throws UserError when it cannot be read, or its archive is damaged.
 */
export async function readBundleFiles(bundle: string, options: ReadBundleOptions): Promise<void> {
  try {
    if ((await stat(bundle)).isDirectory()) await readDirectory(bundle, options);
    else await readArchive(bundle, options);
  } catch (error) {
    throw explain(error, bundle, options);
  }
}

async function readDirectory(bundle: string, options: ReadBundleOptions): Promise<void> {
  const others = (await readdir(bundle)).filter(
    (name) => name.endsWith('.json') && !headNames.includes(name),
  );
  const blobs = path.join('blobs', 'sha256');
  const names = [
    ...headNames,
    ...others,
    ...(await readdir(path.join(bundle, blobs))).map((name) => path.join(blobs, name)),
  ];
  for (const name of names) {
    options.signal.throwIfAborted();
    const file = path.join(bundle, name);
    const { size } = await stat(file);
    const read = await options.onFile({
      ...{ path: name, sizeBytes: size },
      content: readReusedChunks(file),
    });
    if (read === 'enough') return;
  }
}

class EnoughRead extends Error {}

async function readArchive(bundle: string, options: ReadBundleOptions): Promise<void> {
  const [{ openArchive }, { readTar }, { size }] = await Promise.all([
    import('./bundle-stream.ts'),
    import('./tar-entries.ts'),
    stat(bundle),
  ]);
  const onProgress = (doneBytes: number) => options.onProgress?.(doneBytes, size);
  const chunks = await openArchive(bundle, { onProgress });
  try {
    await readTar(chunks, {
      what: options.what,
      fix: 'copy the bundle again and compare its checksum with that of the original',
      signal: options.signal,
      onFile: async (file) => {
        if ((await options.onFile(file)) === 'enough') throw new EnoughRead();
      },
    });
  } catch (error) {
    if (!(error instanceof EnoughRead)) throw error;
  }
}

/** System errors in the words of the user; everything else stays what it is. */
function explain(error: unknown, bundle: string, { what }: ReadBundleOptions): unknown {
  const code = errorCode(error) ?? '';
  if (!['ENOENT', 'EACCES', 'ENOTDIR', 'EIO', 'EISDIR'].includes(code)) return error;
  const file = error instanceof Error && 'path' in error ? String(error.path) : bundle;
  const reasons: Record<string, string> = {
    ENOENT: `there is no ${file}`,
    EACCES: `permission denied for ${file}`,
  };
  const why = reasons[code] ?? (error instanceof Error ? error.message : code);
  return new UserError({ what, why, fix: 'check the path of the bundle', cause: error });
}
