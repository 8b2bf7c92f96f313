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
  await boundLog(
    process.stderr.fd,
    { maxBytes: maxLogBytes, intervalMs: checkIntervalMs },
    signal,
  ).catch((error: unknown) => {
    logger.warn('The log file cannot be kept small', { reason: errorMessage(error) });
  });
}

/** The same for any descriptor. Resolves when aborted, or when it is no file. */
export async function boundLog(fd: number, bounds: LogBounds, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const found = fstatSync(fd);
    if (!found.isFile()) return;
    if (found.size > bounds.maxBytes) {
      const file = await readlink(`/proc/self/fd/${fd}`);
      await copyFile(file, `${file}.1`);
      ftruncateSync(fd, 0);
    }
    await sleep(bounds.intervalMs, signal).catch(() => {});
  }
}
