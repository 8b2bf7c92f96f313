import { throwCollected } from '../base/errors.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { checkHost } from '../config/parse.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import { type ConfigSourceOptions, inspectSources } from './config-sources.ts';
import { credentialProblems } from './credentials.ts';
import { gatherHostFacts } from './host-facts.ts';
import { planController } from './plan.ts';
import type { NodePlan } from './plan-types.ts';

export interface PrepareOptions extends ConfigSourceOptions {
  readonly dataDir?: string;
  readonly runsWorkloads: boolean;
}

/** What the configuration says, and what follows from it. */
export interface Planned {
  readonly config: ClusterConfig;
  readonly plan: NodePlan;
}

/** All that is known before anything is changed. */
export interface PreparedNode extends Planned {
  readonly host: HostFacts;
  readonly paths: Paths;
  /**
   * Reads the configuration anew and plans, for the machine as it was when the node started. Changes nothing.
   * @throws UserError or UserErrors: everything that is wrong.
   */
  readonly replan: () => Promise<Planned>;
}

/**
 * Reads the configuration and the machine, and plans. Changes nothing.
 * @throws UserError or UserErrors: everything that is wrong with the configuration, here and on this machine.
 */
export async function prepareController(options: PrepareOptions): Promise<PreparedNode> {
  const paths = pathsFor(options);
  const host = await gatherHostFacts({ lastAddressFile: lastAddressFile(paths) });
  const replan = async (): Promise<Planned> => {
    const inspected = await inspectSources(options);
    throwCollected([
      ...inspected.errors,
      ...checkHost(inspected, host, paths.configFile),
      ...(await credentialProblems(inspected)),
    ]);
    const { config } = inspected;
    const { runsWorkloads } = options;
    return { config, plan: planController({ config, host, paths, runsWorkloads }) };
  };
  return { host, paths, replan, ...(await replan()) };
}

/** Where a start leaves the node's address for one without a network (`HostFacts.lastAddress`). */
export function lastAddressFile(paths: Paths): string {
  return `${paths.stateDir}/node-address`;
}
