import { throwCollected, UserError } from '../base/errors.ts';
import { readInstallRecord } from '../install/install-record.ts';
import { removeInstalled } from '../install/remove-installed.ts';
import { detectServiceControl } from '../install/service-control.ts';
import { requireRoot } from './preflight.ts';
import { resetNode } from './reset.ts';

export interface UninstallOptions {
  /** Called for each thing, as it continues "removed …". */
  readonly onRemoved: (what: string) => void;
}

/**
 * Takes a node off the machine: its service, its data, and everything that it did here. What the user wrote stays. A
 * second run finds nothing, and one after a kill goes on. @returns how many things were removed.
 * @throws UserError or UserErrors for what could not be removed.
 */
export async function uninstallNode({ onRemoved }: UninstallOptions): Promise<number> {
  requireRoot('uninstall this node');
  const record = await readInstallRecord();
  const control = await detectServiceControl();
  if (record !== undefined && control !== undefined) {
    if (await control.isRunning()) await control.stop();
    await control.disable();
  }
  let count = await resetNode({
    ...(record === undefined ? {} : { dataDir: record.dataDir }),
    onRemoved,
  });
  if (record === undefined) return count;
  try {
    for (const what of await removeInstalled(record)) {
      onRemoved(what);
      count += 1;
    }
  } catch (error) {
    throwCollected([describeFailure(error)]);
  }
  await control?.forget();
  return count;
}

function describeFailure(error: unknown): UserError {
  return new UserError({
    what: 'remove everything that was installed',
    why: error instanceof Error ? error.message : String(error),
    fix: 'remove the cause and run mini-k8s uninstall --yes again: it goes on where it stopped',
    cause: error,
  });
}
