import { rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';
import { ensureFile, writeFileAtomic } from '../base/files.ts';
import type { InstallChange } from './compare-plan.ts';
import { replaceExecutable } from './replace-executable.ts';
import type { InstallPlan } from './types.ts';

/**
 * Makes the changes, each atomically. @returns what takes them all back.
 * @throws what went wrong, after everything that was changed is as it was.
 */
export async function applyChanges(
  changes: readonly InstallChange[],
  options: { readonly plan: InstallPlan; readonly source: string },
): Promise<() => Promise<void>> {
  const done: InstallChange[] = [];
  const undo = async () => {
    for (const change of done.splice(0).reverse()) await undoChange(change, options.plan);
  };
  try {
    for (const change of changes) {
      await applyChange(change, options);
      done.push(change);
    }
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}

async function applyChange(
  change: InstallChange,
  { plan, source }: { readonly plan: InstallPlan; readonly source: string },
): Promise<void> {
  if (change.type === 'file') {
    await ensureFile(change.file);
    return;
  }
  const places = { target: plan.executable, previous: plan.previousExecutable };
  await replaceExecutable(source, places);
}

async function undoChange(change: InstallChange, plan: InstallPlan): Promise<void> {
  if (change.type === 'executable') {
    if (!change.isNew) await rename(plan.previousExecutable, plan.executable);
    else await removeFile(plan.executable);
    return;
  }
  const { file, before } = change;
  if (before === undefined) await removeFile(file.path);
  else await writeFileAtomic(file.path, before, file);
}

/** Removes a file, and its directory when that is empty then and not the machine's own. @returns whether it was there. */
export async function removeFile(file: string): Promise<boolean> {
  const isRemoved = await rm(file).then(
    () => true,
    (error: unknown) => {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    },
  );
  const directory = path.dirname(file);
  if (path.basename(directory) === 'mini-k8s') await removeIfEmpty(directory);
  return isRemoved;
}

async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EBUSY'].includes(errorCode(error) ?? '')) throw error;
  }
}
