import { UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { recordFile } from './paths.ts';
import type { InstallRecord } from './types.ts';

/**
 * What is installed here; undefined where nothing is.
 * @throws UserError when it cannot be read.
 */
export async function readInstallRecord(): Promise<InstallRecord | undefined> {
  const text = await readTextIfExists(recordFile);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as InstallRecord;
  } catch (error) {
    throw new UserError({
      what: `read ${recordFile}`,
      why: error instanceof Error ? error.message : String(error),
      fix: `remove it (rm ${recordFile}), and install again`,
      cause: error,
    });
  }
}

export async function writeInstallRecord(record: InstallRecord): Promise<void> {
  await writeFileAtomic(recordFile, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
}
