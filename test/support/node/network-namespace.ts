import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { runOnHost, tryOnHost } from './host-command.ts';
import { RECORD_DIRECTORY } from './node-record.ts';

/** The file that keeps a network namespace of this name alive: no process has to live in it. */
export function namespaceFile(name: string): string {
  return path.join(RECORD_DIRECTORY, `${name}.netns`);
}

/** The words in front of a command of the host that shall see another network; none for the host's own. */
export function inNamespace(file: string | undefined): readonly string[] {
  return file === undefined ? [] : ['nsenter', `--net=${file}`];
}

export async function createNamespace(file: string): Promise<void> {
  await runOnHost(['touch', file]);
  await runOnHost(['unshare', `--net=${file}`, 'true']);
}

/** Nothing there = nothing done. What is plugged into it ends with it, shortly after. */
export async function removeNamespace(file: string): Promise<void> {
  if (!existsSync(file)) return;
  const result = await tryOnHost(['umount', file]);
  // A run that was killed between the file and its mount leaves an ordinary file.
  if (result.exitCode !== 0 && !result.stderr.includes('not mounted')) {
    throw new Error(`umount ${file} failed: ${result.stderr}`);
  }
  await rm(file, { force: true });
}
