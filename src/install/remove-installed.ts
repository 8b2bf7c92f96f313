import { removeFile } from './apply-changes.ts';
import { recordFile, serviceLogFile } from './paths.ts';
import { removeSystemUser } from './system-user.ts';
import type { InstallRecord } from './types.ts';

/**
 * Takes away what the record says, the record last: after a kill the next run goes on. The service must be stopped
 * and disabled. @returns what was there, as it continues "removed …".
 */
export async function removeInstalled(record: InstallRecord): Promise<string[]> {
  const { executable, previousExecutable, user } = record;
  const files = [
    ...record.files,
    ...(executable === undefined ? [] : [executable]),
    previousExecutable,
    serviceLogFile,
    `${serviceLogFile}.1`,
  ];
  const removed: string[] = [];
  for (const file of files) if (await removeFile(file)) removed.push(file);
  if (user !== undefined) {
    await removeSystemUser(user);
    removed.push(`user ${user}`);
  }
  if (await removeFile(recordFile)) removed.push(recordFile);
  return removed;
}
