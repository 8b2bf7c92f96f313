import { readlink, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readHostRecords, sysctlFile } from './ensure-host-settings.ts';

/** Puts back what `ensureHostSettings` recorded, newest first, and forgets it. Returns what was undone, for a person. */
export async function undoHostSettings(recordFile: string): Promise<string[]> {
  const undone: string[] = [];
  for (const record of (await readHostRecords(recordFile)).toReversed()) {
    if (record.type === 'sysctl') {
      await writeFile(sysctlFile(record.key), record.previous);
      undone.push(`sysctl ${record.key}: back to ${record.previous}`);
    } else if ((await readlink(record.path).catch(() => undefined)) === record.target) {
      await rm(record.path);
      // The directory was ours only when nothing else is in it.
      await rmdir(path.dirname(record.path)).catch(() => undefined);
      undone.push(`link ${record.path}`);
    }
  }
  await rm(recordFile, { force: true });
  return undone;
}
