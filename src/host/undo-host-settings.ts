import { readlink, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readTextIfExists } from '../base/files.ts';
import { type HostRecord, readHostRecords, sysctlFile } from './ensure-host-settings.ts';
import { removeNftTable } from './nft-table.ts';
import { removeUnreachableRoute } from './unreachable-route.ts';

/**
 * Puts back what `ensureHostSettings` recorded, newest first, and forgets it. What somebody has changed since then is
 * left as it is. Returns what was undone, for a person.
 */
export async function undoHostSettings(recordFile: string): Promise<string[]> {
  const undone: string[] = [];
  for (const record of (await readHostRecords(recordFile)).toReversed()) {
    const what = await undoRecord(record);
    if (what !== undefined) undone.push(what);
  }
  await rm(recordFile, { force: true });
  return undone;
}

function undoRecord(record: HostRecord): Promise<string | undefined> {
  switch (record.type) {
    case 'sysctl':
      return undoSysctl(record);
    case 'link':
      return undoLink(record);
    case 'nft-table':
      return removeNftTable(record.name);
    case 'unreachable-route':
      return removeUnreachableRoute(record.destination);
  }
}

async function undoSysctl(
  record: Extract<HostRecord, { type: 'sysctl' }>,
): Promise<string | undefined> {
  const file = sysctlFile(record.key);
  // Undefined: the module that had it is not loaded any more.
  const current = (await readTextIfExists(file))?.trim();
  if (current !== record.value) return undefined;
  await writeFile(file, record.previous);
  return `sysctl ${record.key}: back to ${record.previous}`;
}

async function undoLink(
  record: Extract<HostRecord, { type: 'link' }>,
): Promise<string | undefined> {
  if ((await readlink(record.path).catch(() => undefined)) !== record.target) return undefined;
  await rm(record.path);
  // The directory was ours only when nothing else is in it.
  await rmdir(path.dirname(record.path)).catch(() => undefined);
  return `link ${record.path}`;
}
