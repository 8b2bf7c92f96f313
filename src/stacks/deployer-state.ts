import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import type { KubeClient } from '../kube-client/types.ts';
import type { StackRecord } from './stack-record.ts';
import type { DeployerTiming } from './timing.ts';
import type { ManifestStack, StackEvent, StackStatus } from './types.ts';
import type { UserSource } from './user-source.ts';

export interface PassContext {
  readonly client: KubeClient;
  readonly packaged: readonly ManifestStack[] | (() => readonly ManifestStack[]);
  readonly manifestsDir: string;
  readonly source: UserSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onEvent: (event: StackEvent) => void;
  readonly timing: DeployerTiming;
}

/** What one pass leaves for the next. */
export interface DeployerState {
  readonly records: Map<string, StackRecord>;
  /** Whether a kind is namespaced, by `groupKind`. */
  readonly scopes: Map<string, boolean>;
  strays: readonly StackStatus[];
  /** Directories worth watching. */
  directories: readonly string[];
  /** When to look at the cluster next; undefined: now. */
  driftAt: number | undefined;
}

export function newState(): DeployerState {
  return {
    records: new Map(),
    scopes: new Map(),
    strays: [],
    directories: [],
    driftAt: undefined,
  };
}

/** Packaged stacks in their own order, then the user's by name. */
export function orderedRecords(state: DeployerState): readonly StackRecord[] {
  const records = [...state.records.values()];
  return [
    ...records.filter(({ origin }) => origin === 'packaged'),
    ...records
      .filter(({ origin }) => origin === 'user')
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  ];
}

export function isPackagedApplied(state: DeployerState): boolean {
  return orderedRecords(state).every(({ origin, isApplied }) => origin === 'user' || isApplied);
}

/** Names of the user stacks that the cluster has or is to have. */
export function userNames(state: DeployerState): readonly string[] {
  return [...state.records.values()]
    .filter(({ origin }) => origin === 'user')
    .map(({ name }) => name);
}
