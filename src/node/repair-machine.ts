import { chmod, writeFile } from 'node:fs/promises';
import { discardBlobs } from '../artifacts/store.ts';
import type { Paths } from '../config/paths.ts';
import type { Repair } from '../doctor/types.ts';
import { sysctlFile } from '../host/ensure-host-settings.ts';
import { pruneArtifacts } from './artifact-store.ts';

/** What a repair would do. Pure. */
export function describeRepair(repair: Repair): string {
  switch (repair.type) {
    case 'discard-blobs':
      return `remove ${repair.problems.map(({ path }) => path).join(', ')}`;
    case 'prune-store':
      return 'remove old versions and unfinished downloads';
    case 'file-mode':
      return `set the mode of ${repair.path} to ${repair.mode.toString(8).padStart(4, '0')}`;
    case 'sysctl':
      return `set ${repair.key} to ${repair.value}`;
  }
}

/**
 * Does it. Twice is the same as once.
 * @returns what was done.
 * @throws UserError, or what the kernel says.
 */
export async function applyRepair(repair: Repair, { dataDir }: Paths): Promise<string> {
  switch (repair.type) {
    case 'discard-blobs':
      await discardBlobs(repair.problems);
      return describeRepair(repair);
    case 'prune-store': {
      const { removed, freedBytes } = await pruneArtifacts({ dataDir });
      const names = removed.length === 0 ? 'no old versions' : removed.join(', ');
      return `remove ${names}: ${Math.round(freedBytes / 1e6)} MB are free again`;
    }
    case 'file-mode':
      await chmod(repair.path, repair.mode);
      return describeRepair(repair);
    case 'sysctl':
      await writeFile(sysctlFile(repair.key), repair.value);
      return describeRepair(repair);
  }
}
