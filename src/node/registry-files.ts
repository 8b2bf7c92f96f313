import { readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import {
  authorityPrefix,
  mirrorHeader,
  registriesDir,
  registrySign,
} from '../components/containerd-registries.ts';
import type { NodePlan } from './plan-types.ts';

/** What we wrote into containerd's directory of registries; an operator may have files there too. */
export async function ownRegistryFiles(): Promise<string[]> {
  const found: string[] = [];
  for (const directory of await listDirectories()) {
    const names = await readdir(directory);
    if (await isOwn(`${directory}/hosts.toml`)) found.push(`${directory}/hosts.toml`);
    const authorities = names.filter((name) => name.startsWith(authorityPrefix));
    found.push(...authorities.map((name) => `${directory}/${name}`));
  }
  return found;
}

/** The directories of registries, and the one around them: removed only when nothing is in them. */
export async function registryDirectories(): Promise<string[]> {
  return [...(await listDirectories()), registriesDir, path.dirname(registriesDir)];
}

/** Takes away what an earlier configuration had there: containerd reads whatever it finds. */
export async function removeStaleRegistryFiles(plan: NodePlan): Promise<void> {
  const wanted = new Set(plannedFiles(plan).map((file) => file.path));
  const stale = (await ownRegistryFiles()).filter((file) => !wanted.has(file));
  for (const file of stale) await rm(file, { force: true });
  for (const directory of new Set(stale.map((file) => path.dirname(file)))) {
    await rmdir(directory).catch((error: unknown) => {
      if (errorCode(error) !== 'ENOTEMPTY') throw error;
    });
  }
}

/** @throws UserError for a file of an operator where the configuration wants one of ours. */
export async function requireOwnRegistryFiles(plan: NodePlan): Promise<void> {
  for (const file of plannedFiles(plan)) {
    const isForeign =
      file.path.startsWith(`${registriesDir}/`) &&
      file.path.endsWith('/hosts.toml') &&
      (await readTextIfExists(file.path)) !== undefined &&
      !(await isOwn(file.path));
    if (!isForeign) continue;
    throw new UserError({
      what: `write ${file.path}`,
      why: 'it is there, and mini-k8s did not write it',
      fix: 'say in spec.registries what it says, and remove it',
    });
  }
}

function plannedFiles({ files, worker }: NodePlan) {
  return [...files, ...(worker?.memberFiles ?? [])];
}

async function isOwn(file: string): Promise<boolean> {
  const text = (await readTextIfExists(file)) ?? '';
  // The header: of a version before the sign.
  return text.startsWith(registrySign) || text.includes(mirrorHeader);
}

async function listDirectories(): Promise<string[]> {
  try {
    const entries = await readdir(registriesDir, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${registriesDir}/${name}`);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
