import { fstatSync, ftruncateSync } from 'node:fs';
import { copyFile, readlink } from 'node:fs/promises';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { sleep } from '../base/time.ts';

/** Two of these at most lie on the disk, bytes. */
const maxLogBytes = 8 * 1024 * 1024;
const checkIntervalMs = 60_000;

export interface LogBounds {
  readonly maxBytes: number;
  readonly intervalMs: number;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Keeps the file that OpenRC makes of this process' stderr from filling the disk: a full one becomes `<file>.1`. The
 * file is copied and emptied, since supervise-daemon holds it open for appending. Runs until aborted, and does nothing
 * when it is no service of OpenRC's: a file that somebody chose is not ours to empty.
 */
export async function boundServiceLog(
  env: Readonly<Record<string, string | undefined>>,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  if (env['RC_SVCNAME'] === undefined) return;
  const bounds = { maxBytes: maxLogBytes, intervalMs: checkIntervalMs };
  let reason: string | undefined;
  const onFailure = (error: unknown) => {
    // Once for each reason: a line a minute would fill the file that is too large already.
    if (errorMessage(error) === reason) return;
    reason = errorMessage(error);
    logger.warn('The log file cannot be kept small', { reason });
  };
  await boundLog(process.stderr.fd, { ...bounds, onFailure }, signal);
}

/** The same for any descriptor. Resolves when aborted, or when it is no file. */
export async function boundLog(fd: number, bounds: LogBounds, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const found = fstatSync(fd);
      if (!found.isFile()) return;
      if (found.size > bounds.maxBytes) await empty(fd);
    } catch (error) {
      // A full disk gets room again: the next look may do it.
      bounds.onFailure(error);
    }
    await sleep(bounds.intervalMs, signal).catch(() => {});
  }
}

async function empty(fd: number): Promise<void> {
  const file = await readlink(`/proc/self/fd/${fd}`);
  await copyFile(file, `${file}.1`);
  ftruncateSync(fd, 0);
}
