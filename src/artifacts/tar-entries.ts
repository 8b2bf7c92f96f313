import { once } from 'node:events';
import { Parser, type ReadEntry } from 'tar';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';

/** One regular file of a tar archive. */
export interface TarFile {
  /** Relative, without `.` and `..`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly content: AsyncIterable<Uint8Array>;
}

export interface ReadTarOptions {
  /** The act, for messages: `import /media/usb/bundle.tar`. */
  readonly what: string;
  /** What to do about a damaged archive. */
  readonly fix: string;
  /** Links and devices are passed over instead of refused. */
  readonly skipsOthers?: boolean;
  readonly signal: AbortSignal;
  /** Called for each file in turn; what it does not read is skipped. */
  readonly onFile: (file: TarFile) => Promise<void>;
}

/**
 * Reads a tar archive as it streams by; memory use does not depend on its size. Directories are passed over.
 * @throws UserError when the archive is damaged, ends too early, or holds a link, a device or a path that leads outside.
 */
export async function readTar(
  chunks: AsyncIterable<Uint8Array>,
  options: ReadTarOptions,
): Promise<void> {
  // The first failure ends everything; later ones (an entry cut short, say) are its consequences.
  const stop = new AbortController();
  const fail = (error: unknown) => stop.abort(error);
  const parser = new Parser({ strict: true });
  let handled: Promise<void> = Promise.resolve();
  parser.on('error', (error: unknown) => fail(damaged(error, options)));
  parser.on('ignoredEntry', (entry: ReadEntry) => {
    if (options.skipsOthers !== true) fail(refused(entry, options));
  });
  parser.on('entry', (entry: ReadEntry) => {
    handled = handled.then(() => handleEntry(entry, stop.signal, options)).catch(fail);
  });
  await feed(parser, chunks, { stop: stop.signal, signal: options.signal }).catch(fail);
  await handled;
  stop.signal.throwIfAborted();
}

async function feed(
  parser: Parser,
  chunks: AsyncIterable<Uint8Array>,
  signals: { readonly stop: AbortSignal; readonly signal: AbortSignal },
): Promise<void> {
  const either = AbortSignal.any([signals.stop, signals.signal]);
  for await (const chunk of chunks) {
    either.throwIfAborted();
    if (parser.write(asBuffer(chunk))) continue;
    try {
      await once(parser, 'drain', { signal: either });
    } catch (error) {
      either.throwIfAborted();
      throw error;
    }
  }
  parser.end();
}

async function handleEntry(
  entry: ReadEntry,
  stop: AbortSignal,
  options: ReadTarOptions,
): Promise<void> {
  if (!stop.aborted) {
    const path = safePath(entry, options);
    if (entry.type === 'File' || entry.type === 'OldFile') {
      await options.onFile({ path, sizeBytes: entry.size, content: entryContent(entry, stop) });
    } else if (entry.type !== 'Directory' && options.skipsOthers !== true) {
      throw refused(entry, options);
    }
  }
  entry.resume();
}

/** The entry's bytes; throws the reason of `stop`, since an entry whose archive failed would never end. */
async function* entryContent(entry: ReadEntry, stop: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = entry[Symbol.asyncIterator]();
  for (;;) {
    const next = await orAborted(chunks.next(), stop);
    if (next.done === true) return;
    yield next.value;
  }
}

/** Not `Promise.race`: that would keep every chunk reachable until the signal aborts. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const forget = () => signal.removeEventListener('abort', abort);
    promise.then(resolve, reject).then(forget, forget);
  });
}

function safePath(entry: ReadEntry, { what }: ReadTarOptions): string {
  const parts = entry.path.split('/').filter((part) => part !== '' && part !== '.');
  if (entry.path.startsWith('/') || parts.includes('..')) {
    throw new UserError({
      what,
      why: `its entry "${entry.path}" leads outside of the archive`,
      fix: 'do not use this file: it was made to do harm',
    });
  }
  return parts.join('/');
}

function refused(entry: ReadEntry, { what }: ReadTarOptions): UserError {
  return new UserError({
    what,
    why: `its entry "${entry.path}" is a ${entry.type}, not a regular file`,
    fix: 'write the bundle as a plain tar of an OCI image layout',
  });
}

function damaged(error: unknown, { what, fix }: ReadTarOptions): unknown {
  if (errorCode(error)?.startsWith('TAR_') !== true) return error;
  return new UserError({
    what,
    why: `the archive is damaged or incomplete (${errorMessage(error)})`,
    fix,
    cause: error,
  });
}

function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
}
