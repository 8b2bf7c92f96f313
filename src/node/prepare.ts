import { errorCode, throwCollected, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { checkHost, parseConfig } from '../config/parse.ts';
import { defaultConfigFile, type Paths, pathsFor } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import { gatherHostFacts } from './host-facts.ts';
import { planController } from './plan.ts';
import type { NodePlan } from './plan-types.ts';

export interface PrepareOptions {
  /** Must exist when given. */
  readonly configFile?: string;
  readonly dataDir?: string;
  readonly runsWorkloads: boolean;
}

/** All that is known before anything is changed. */
export interface PreparedNode {
  readonly config: ClusterConfig;
  readonly host: HostFacts;
  readonly paths: Paths;
  readonly plan: NodePlan;
}

/**
 * Reads the configuration and the machine, and plans. Changes nothing.
 * @throws UserError or UserErrors: everything that is wrong with the configuration, here and on this machine.
 */
export async function prepareController(options: PrepareOptions): Promise<PreparedNode> {
  const paths = pathsFor(options);
  const [config, host] = await Promise.all([readConfig(options), gatherHostFacts()]);
  throwCollected(checkHost(config, host, paths.configFile));
  const plan = planController({ config, host, paths, runsWorkloads: options.runsWorkloads });
  return { config, host, paths, plan };
}

/**
 * Reads the configuration file, or the defaults where the default file does not exist.
 * @throws UserError or UserErrors.
 */
export async function readConfig(options: {
  readonly configFile?: string;
}): Promise<ClusterConfig> {
  const file = options.configFile ?? defaultConfigFile;
  const text = await readConfigText(file);
  if (text === undefined && options.configFile !== undefined) {
    throw new UserError({
      what: `read configuration ${file}`,
      why: 'there is no such file',
      fix: 'mini-k8s config default prints one to begin with',
    });
  }
  return parseConfig(text ?? '', file);
}

async function readConfigText(file: string): Promise<string | undefined> {
  try {
    return await readTextIfExists(file);
  } catch (error) {
    const known: Record<string, string> = {
      EISDIR: 'it is a directory',
      EACCES: 'permission denied',
    };
    const why = known[errorCode(error) ?? ''];
    if (why === undefined) throw error;
    throw new UserError({ what: `read configuration ${file}`, why, cause: error });
  }
}
