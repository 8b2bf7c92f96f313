import type { HostFacts } from '../../src/config/host-facts.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { pathsFor } from '../../src/config/paths.ts';
import { type PlanOptions, planController } from '../../src/node/plan.ts';
import type { NodePlan } from '../../src/node/plan-types.ts';

/** A small machine with one card, on cgroup v2 under systemd. */
export const smallHost: HostFacts = {
  hostname: 'edge-1',
  machineId: '0123456789abcdef0123456789abcdef',
  arch: 'amd64',
  memoryBytes: 1024 ** 3,
  cpus: 1,
  cgroupVersion: 'v2',
  isSystemd: true,
  addresses: [{ interface: 'eth0', address: '192.168.7.20', prefix: 24 }],
  defaultGateway: '192.168.7.1',
  resolvConf: { path: '/etc/resolv.conf', nameservers: ['192.168.7.1'] },
  hasNftables: true,
  hasIptables: true,
  allowsNegativeOomScore: true,
  allowsConntrackSysctls: true,
  swapBytes: 0,
};

export interface PlanInputs {
  /** YAML below `spec:`, indented by two spaces. */
  readonly spec?: string;
  readonly host?: Partial<HostFacts>;
  readonly runsWorkloads?: boolean;
}

/** The inputs of a plan, with defaults for everything. */
export async function planInputs(inputs: PlanInputs = {}): Promise<PlanOptions> {
  const config = await parseConfig(
    inputs.spec === undefined ? '' : `spec:\n${inputs.spec}`,
    'test',
  );
  return {
    config,
    host: { ...smallHost, ...inputs.host },
    paths: pathsFor(),
    runsWorkloads: inputs.runsWorkloads ?? true,
  };
}

export async function planFor(inputs: PlanInputs = {}): Promise<NodePlan> {
  return planController(await planInputs(inputs));
}

/** `--name=value` flags of one process. */
export function flagsOf(plan: NodePlan, processName: string): ReadonlyMap<string, string> {
  const process = plan.processes.find(({ name }) => name === processName);
  if (process === undefined) throw new Error(`the plan has no process ${processName}`);
  return new Map(
    process.args.map((arg) => {
      const at = arg.indexOf('=');
      return at < 0 ? [arg, ''] : [arg.slice(2, at), arg.slice(at + 1)];
    }),
  );
}

/** A JSON configuration file of the plan, by the end of its path. */
export function jsonFile(plan: NodePlan, name: string): unknown {
  const file = plan.files.find((entry) => entry.path.endsWith(`/${name}`));
  if (file === undefined) throw new Error(`the plan has no file ${name}`);
  return JSON.parse(file.content);
}
