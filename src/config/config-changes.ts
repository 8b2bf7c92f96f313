import { UserError } from '../base/errors.ts';
import { isAtOrBelow, isMapping } from './layers.ts';
import type { ClusterConfig } from './types.ts';

/** What no running and no restarted cluster can change, and why. */
const immutableFields: Readonly<Record<string, string>> = {
  'spec.network.podCIDR': 'every node and every pod has its address from it',
  'spec.network.serviceCIDR': 'every Service has its address from it',
  'spec.network.clusterDomain': 'certificates, tokens and every pod have names below it',
};

/** What a running node takes over, restarting only what was made from it. */
const liveFields: readonly string[] = [
  ...['spec.api.sans', 'spec.node.labels', 'spec.node.taints'],
  ...['spec.network.kubeProxy.mode', 'spec.network.nodePortRange'],
  ...['spec.artifacts', 'spec.proxy', 'spec.registries', 'spec.kubelet', 'spec.extraArgs'],
  // Not metrics-server: the gateway lets it in, or not, from its start on.
  ...['spec.addons.coredns', 'spec.hardening', 'spec.tuning'],
];

/** The part of a configuration that a cluster keeps for life. */
export type ImmutableConfig = Pick<
  ClusterConfig['spec']['network'],
  'podCIDR' | 'serviceCIDR' | 'clusterDomain'
>;

export function immutablePart({ spec }: ClusterConfig): ImmutableConfig {
  const { podCIDR, serviceCIDR, clusterDomain } = spec.network;
  return { podCIDR, serviceCIDR, clusterDomain };
}

/** Why a node of a cluster that was made with `made` cannot start with a configuration. Pure. */
export function refusedStart(made: ImmutableConfig, next: ClusterConfig): UserError[] {
  const wanted: Readonly<Record<string, string>> = { ...immutablePart(next) };
  return Object.entries(made).flatMap(([name, value]) =>
    wanted[name] === value
      ? []
      : [refusal(`spec.network.${name}`, { from: value, to: wanted[name] })],
  );
}

export interface ReloadRules {
  /** Fields that this node reads only when it starts, though others take them over. */
  readonly atStartOnly?: readonly string[];
  /** What is to be said of a field that is taken over and does not do all that one may think. */
  readonly notes?: Readonly<Record<string, string>>;
}

/** Why a running node cannot take a configuration over; empty when it can. Pure. */
export function refusedChanges(
  running: ClusterConfig,
  next: ClusterConfig,
  { atStartOnly = [] }: ReloadRules = {},
): UserError[] {
  return changedFields(running, next).flatMap((change) => {
    const { path } = change;
    const isLive =
      liveFields.some((field) => isAtOrBelow(path, field)) &&
      !atStartOnly.some((field) => isAtOrBelow(path, field));
    return isLive ? [] : [refusal(path, change)];
  });
}

/** What is to be said of the fields that changed. Pure. */
export function notesOn(changed: readonly string[], { notes = {} }: ReloadRules = {}): string[] {
  return Object.entries(notes)
    .filter(([field]) => changed.some((path) => isAtOrBelow(path, field)))
    .map(([field, note]) => `${field} ${note}`);
}

interface ChangedField {
  readonly path: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** The fields whose values differ; a list counts as one value. Pure. */
export function changedFields(before: unknown, after: unknown, path = ''): ChangedField[] {
  if (!isMapping(before) || !isMapping(after)) {
    return JSON.stringify(before) === JSON.stringify(after)
      ? []
      : [{ path, from: before, to: after }];
  }
  const prefix = path === '' ? '' : `${path}.`;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
    changedFields(before[key], after[key], `${prefix}${key}`),
  );
}

function refusal(path: string, { from, to }: Pick<ChangedField, 'from' | 'to'>): UserError {
  const what = `change ${path}`;
  const why = immutableFields[path];
  if (why === undefined) {
    const reason = 'a running node does not take this field over';
    const fix = 'mini-k8s restart (or end and start it): it holds from the next start on';
    return new UserError({ what, why: reason, fix });
  }
  return new UserError({
    what: `${what} from ${String(from)} to ${String(to)}`,
    why: `it is fixed when a cluster is made: ${why}`,
    fix: `set it back to ${String(from)}; a cluster with another one is a new cluster`,
  });
}
