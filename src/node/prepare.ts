import { errorCode, throwCollected, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { checkHost, type InspectedConfig, inspectConfig } from '../config/parse.ts';
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
  const [inspected, host] = await Promise.all([
    inspectConfigFile(options),
    gatherHostFacts({ lastAddressFile: lastAddressFile(paths) }),
  ]);
  throwCollected([...inspected.errors, ...checkHost(inspected, host, paths.configFile)]);
  const { config } = inspected;
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
  const { config, errors } = await inspectConfigFile(options);
  throwCollected(errors);
  return config;
}

/** The configuration file, or the defaults where the default file does not exist, and what is wrong with it. */
export async function inspectConfigFile(options: {
  readonly configFile?: string;
}): Promise<InspectedConfig> {
  const file = options.configFile ?? defaultConfigFile;
  const text = await readConfigText(file);
  if (text === undefined && options.configFile !== undefined) {
    throw new UserError({
      what: `read configuration ${file}`,
      why: 'there is no such file',
      fix: 'mini-k8s config default prints one to begin with',
    });
  }
  return inspectConfig(text ?? '', file);
}

/** Where a start leaves the node's address for one without a network (`HostFacts.lastAddress`). */
export function lastAddressFile(paths: Paths): string {
  return `${paths.stateDir}/node-address`;
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
