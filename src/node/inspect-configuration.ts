import { errorCode, throwCollected, UserError } from '../base/errors.ts';
import type { InspectedConfig } from '../config/parse.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { type ConfigSourceOptions, findConfigFiles, inspectSources } from './config-sources.ts';
import { credentialProblems } from './credentials.ts';
import { readMembership, type StoredMembership } from './membership.ts';
import { inspectMember } from './worker-config.ts';

export interface InspectionOptions extends ConfigSourceOptions {
  readonly dataDir?: string;
  /** Whoever may not know whether this machine is a worker still gets what its files say by themselves. */
  readonly isForAnybody?: boolean;
  /** The configuration is for another machine: files that it names need not be on this one. */
  readonly isForElsewhere?: boolean;
}

export interface Inspection extends Pick<InspectedConfig, 'config' | 'origins'> {
  /** Those that were read, in their order. */
  readonly files: readonly string[];
}

/**
 * The configuration that a node would start with here, on a worker with what its cluster says. Needs no network.
 * @throws UserError or UserErrors: everything that is wrong with it.
 */
export async function inspectConfiguration(options: InspectionOptions): Promise<Inspection> {
  const stored = await findMembership(pathsFor(options), options.isForAnybody === true);
  const inspected =
    stored === undefined ? await inspectSources(options) : await inspectMember(stored, options);
  const isHere = options.isForElsewhere !== true;
  const lacking = isHere ? await credentialProblems(inspected) : [];
  throwCollected([...inspected.errors, ...lacking]);
  return { ...inspected, files: await findConfigFiles(options.configFile) };
}

async function findMembership(
  paths: Paths,
  isForAnybody: boolean,
): Promise<StoredMembership | undefined> {
  try {
    return await readMembership(paths);
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    if (isForAnybody) return undefined;
    throw new UserError({
      what: 'read what this node is',
      why: `${paths.stateDir} is for root only`,
      fix: 'run it with sudo',
      cause: error,
    });
  }
}
