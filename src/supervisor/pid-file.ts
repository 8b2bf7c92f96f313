import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomic } from '../base/files.ts';

/** Names one process of this boot for good: a pid alone is used again. */
export interface PidRecord {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat. */
  readonly startTime: number;
  /** Where /proc/<pid>/exe points: for a script, its interpreter. */
  readonly executable: string;
}

export async function writePidFile(pidDir: string, name: string, record: PidRecord): Promise<void> {
  await writeFileAtomic(pidFile(pidDir, name), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

export function removePidFile(pidDir: string, name: string): void {
  rmSync(pidFile(pidDir, name), { force: true });
}

/** All records by component name. What cannot be understood is left out: a power cut may leave anything. */
export function readPidFiles(pidDir: string): ReadonlyMap<string, PidRecord> {
  const records = new Map<string, PidRecord>();
  for (const file of filesIn(pidDir)) {
    if (!file.endsWith('.json') || file.startsWith('.')) continue;
    const record = parseRecord(readFileSync(path.join(pidDir, file), 'utf8'));
    if (record !== undefined) records.set(file.slice(0, -'.json'.length), record);
  }
  return records;
}

/** Makes the directory empty of records, also of broken and half-written ones. */
export function removePidFiles(pidDir: string): void {
  for (const file of filesIn(pidDir)) {
    if (/\.json(\..*\.tmp)?$/.test(file)) rmSync(path.join(pidDir, file), { force: true });
  }
}

/** A machine on which nothing ever ran has no directory, and must not get one by being looked at. */
function filesIn(pidDir: string): readonly string[] {
  return existsSync(pidDir) ? readdirSync(pidDir) : [];
}

function pidFile(pidDir: string, name: string): string {
  return path.join(pidDir, `${name}.json`);
}

function parseRecord(text: string): PidRecord | undefined {
  try {
    const value = JSON.parse(text) as Partial<PidRecord> | null;
    const isComplete =
      Number.isSafeInteger(value?.pid) &&
      Number(value?.pid) > 1 &&
      Number.isSafeInteger(value?.startTime) &&
      typeof value?.executable === 'string';
    return isComplete ? (value as PidRecord) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
