import { orderForDelete } from './order.ts';
import { groupKind, isProtected, refKey } from './refs.ts';
import type { AppliedRecord, DesiredObject, DesiredStack, LiveObject, StackRef } from './types.ts';

/** The objects under the stack label as the server has them, by key. */
export interface LiveView {
  readonly objects: ReadonlyMap<string, LiveObject>;
  /** `groupKind` of kinds that could not be listed: nothing is concluded from their absence. */
  readonly unlisted: ReadonlySet<string>;
  /** `groupKind` of kinds that the server does not serve, for ever or until it has finished starting. */
  readonly unserved: ReadonlySet<string>;
}

export interface PlanInput {
  readonly desired: DesiredStack;
  /** What was applied in this process, by key. */
  readonly applied: ReadonlyMap<string, AppliedRecord>;
  readonly live: LiveView;
  readonly inventory: readonly StackRef[];
  /** Which stack owns an object, by key: what moved to another stack is not pruned. */
  readonly owners: ReadonlyMap<string, string>;
}

export interface StackPlan {
  /** In the order of application. */
  readonly apply: readonly DesiredObject[];
  /** In the order of deletion; only what the server has with this stack's label. */
  readonly prune: readonly LiveObject[];
  /** May be there, but its kind could not be listed or is not served at this moment: must stay in the inventory. */
  readonly undecided: readonly StackRef[];
}

/** What to send so that the server has the desired objects and nothing else of this stack. */
export function planStack(input: PlanInput): StackPlan {
  const wanted = new Set(input.desired.objects.map(({ key }) => key));
  const left = input.inventory.filter((ref) => {
    const owner = input.owners.get(refKey(ref));
    const isMoved = owner !== undefined && owner !== input.desired.name;
    return !wanted.has(refKey(ref)) && !isMoved && !isProtected(ref);
  });
  return {
    apply: input.desired.objects.filter((object) => needsApply(object, input)),
    prune: orderForDelete(left).flatMap((ref) => {
      const live = input.live.objects.get(refKey(ref));
      return live?.stack === input.desired.name ? [live] : [];
    }),
    undecided: left.filter((ref) => {
      return input.live.unlisted.has(groupKind(ref)) || input.live.unserved.has(groupKind(ref));
    }),
  };
}

/** An object that is as it was after the last apply needs none: any change by anybody moves its resource version. */
function needsApply(object: DesiredObject, input: PlanInput): boolean {
  const { applied, live, desired, owners } = input;
  if ((owners.get(object.key) ?? desired.name) !== desired.name) return false;
  const record = applied.get(object.key);
  if (record === undefined || record.body !== object.body) return true;
  if (live.unlisted.has(groupKind(object.ref))) return false;
  const found = live.objects.get(object.key);
  return (
    found === undefined ||
    found.stack !== desired.name ||
    found.uid !== record.uid ||
    found.resourceVersion !== record.resourceVersion
  );
}
