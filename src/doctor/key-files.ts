import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import type { Examination, Verdict } from './types.ts';

/** A file that holds a secret. */
export interface KeyFile {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
}

/** What root alone reads, or the user that owns it. */
const privateMode = 0o600;
const othersBits = 0o077;

export async function examineKeyFiles({ paths, isRoot }: Examination): Promise<Verdict[]> {
  if (!isRoot) return [{ state: 'skipped', why: 'it needs root' }];
  const files = await Promise.all(
    [paths.pkiDir, paths.etcDir].map((directory) => listSecrets(directory)),
  );
  return judgeKeyFiles(files.flat());
}

/** Pure. */
export function judgeKeyFiles(files: readonly KeyFile[]): Verdict[] {
  if (files.length === 0) return [{ state: 'ok', what: 'there are none yet' }];
  const open = files.filter(({ mode }) => (mode & othersBits) !== 0);
  if (open.length === 0) {
    return [{ state: 'ok', what: `all ${files.length} are for their owners only` }];
  }
  return open.map(({ path: file, mode }) => ({
    state: 'warn',
    what: `${file} has mode ${mode.toString(8).padStart(4, '0')}`,
    why: 'others on this machine could act as the cluster with it',
    fix: `chmod 600 ${file}`,
    repair: { type: 'file-mode', path: file, mode: privateMode },
  }));
}

/** Keys, and kubeconfigs with a token in them. */
async function listSecrets(directory: string): Promise<KeyFile[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  const files = names
    .filter((name) => /\.(key|kubeconfig)$/.test(name))
    .map((name) => path.join(directory, name));
  return Promise.all(
    files.map(async (file) => ({ path: file, mode: (await stat(file)).mode & 0o7777 })),
  );
}
