import { access } from 'node:fs/promises';
import { throwCollected } from '../base/errors.ts';
import { ensureFile, readTextIfExists } from '../base/files.ts';
import { type ImmutableConfig, immutablePart, refusedStart } from '../config/config-changes.ts';
import type { Paths } from '../config/paths.ts';
import type { PreparedNode } from './prepare.ts';

/**
 * Holds the configuration against what the cluster was made with: started with other networks, nothing in it would
 * find anything else any more.
 * @throws UserError or UserErrors for a configuration that wants another one.
 */
export async function requireSameCluster({
  paths,
  config,
}: Pick<PreparedNode, 'paths' | 'config'>): Promise<void> {
  const made = await readRecord(paths);
  if (made !== undefined) throwCollected(refusedStart(made, config));
}

/** Writes down what a cluster keeps for life, for later starts. */
export async function rememberCluster({
  paths,
  config,
}: Pick<PreparedNode, 'paths' | 'config'>): Promise<void> {
  const content = `${JSON.stringify(immutablePart(config), null, 2)}\n`;
  await ensureFile({ path: recordFile(paths), content, mode: 0o600, uid: 0, gid: 0 });
}

async function readRecord(paths: Paths): Promise<ImmutableConfig | undefined> {
  // Without its data there is no cluster: the file is of a start that came to nothing.
  const [text, hasData] = await Promise.all([
    readTextIfExists(recordFile(paths)),
    exists(`${paths.etcdDir}/member`),
  ]);
  return text === undefined || !hasData ? undefined : (JSON.parse(text) as ImmutableConfig);
}

function recordFile(paths: Paths): string {
  return `${paths.stateDir}/cluster.json`;
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
