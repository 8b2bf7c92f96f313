import { isTransientKubeError, isUnknownKindError } from '../kube-client/errors.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { applyObjects, type ObjectFailure, pruneObjects } from './carry-out.ts';
import { isSameRefs, unionRefs } from './inventory.ts';
import { deleteInventory, writeInventory } from './inventory-store.ts';
import { type LiveView, planStack, type StackPlan } from './plan.ts';
import { describeRef } from './refs.ts';
import { describeFailures, retryDelayMs, type StackRecord } from './stack-record.ts';
import type { DesiredObject, DesiredStack, StackEvent, StackRef } from './types.ts';

export interface SyncInput {
  readonly client: KubeClient;
  readonly record: StackRecord;
  readonly live: LiveView;
  readonly owners: ReadonlyMap<string, string>;
  /** Milliseconds, from the same clock as the record's times. */
  readonly nowMs: number;
  readonly unservedAfterMs: number;
  readonly onEvent: (event: StackEvent) => void;
  readonly signal: AbortSignal;
}

/** Failures that usually pass by themselves are told only when they did not for this many tries. */
const quietAttempts = 4;

/**
 * Brings the cluster to what the record wants: inventory of old and new, apply, prune, exact inventory. Whatever moment
 * it is interrupted, running it again goes on from there.
 * @throws KubeConnectionError, KubeApiError 429 when it has to wait; the signal's reason when aborted.
 */
export async function syncStack(input: SyncInput): Promise<void> {
  const { client, record, signal } = input;
  const { desired } = record;
  if (desired === undefined) return;
  const plan = planFor(input, desired);
  await store(input, unionRefs(record.inventory, refsOf(desired)));
  const { applied } = record;
  const known = new Set(applied.keys());
  const result = await applyObjects({ client, plan, live: input.live, applied, signal });
  const isPruneDue = record.mayPrune && result.failures.length === 0;
  const pruning = isPruneDue
    ? await pruneObjects(client, plan.prune, signal)
    : { pruned: 0, failures: [] };
  const failures = [...result.failures, ...pruning.failures];
  if (isPruneDue && failures.length === 0) {
    await store(input, unionRefs(plan.undecided, refsOf(desired)));
  }
  announce(input, { changed: result.changed, known, pruned: pruning.pruned, failures });
  conclude(input, failures);
}

/**
 * Deletes a stack whose source is gone, its inventory last. True when nothing is left to do. Errors as with `syncStack`.
 */
export async function removeStack(input: SyncInput): Promise<boolean> {
  const { client, record, onEvent, signal } = input;
  const plan = planFor(input, { name: record.name, origin: record.origin, objects: [] });
  const { failures } = await pruneObjects(client, plan.prune, signal);
  conclude(input, failures);
  if (failures.length > 0) return false;
  if (plan.undecided.length > 0) {
    record.retryAt = input.nowMs + retryDelayMs(3);
    return false;
  }
  await deleteInventory(client, record.name, signal);
  onEvent({ type: 'stack-deleted', name: record.name });
  return true;
}

function planFor(input: SyncInput, desired: DesiredStack): StackPlan {
  const { record, live, owners, nowMs } = input;
  const { applied, inventory, undecidedSince } = record;
  const isOver = undecidedSince !== undefined && nowMs - undecidedSince >= input.unservedAfterMs;
  const view = isOver ? { ...live, unserved: new Set<string>() } : live;
  const plan = planStack({ desired, live: view, owners, applied, inventory });
  record.undecidedSince = plan.undecided.length === 0 ? undefined : (undecidedSince ?? nowMs);
  return plan;
}

function refsOf(desired: DesiredStack): readonly StackRef[] {
  return desired.objects.map(({ ref }) => ref);
}

async function store(input: SyncInput, refs: readonly StackRef[]): Promise<void> {
  const { client, record, signal } = input;
  record.inventory = refs;
  if (record.stored !== undefined && isSameRefs(record.stored, refs)) return;
  const { name, origin } = record;
  await writeInventory(client, { name, origin, refs }, signal);
  record.stored = refs;
}

interface Result {
  readonly changed: readonly DesiredObject[];
  /** Keys that had been applied before this run: a change to one of them is a repair. */
  readonly known: ReadonlySet<string>;
  readonly pruned: number;
  readonly failures: readonly ObjectFailure[];
}

function announce({ record, onEvent }: SyncInput, result: Result): void {
  const { name } = record;
  if (record.isCurrent) {
    for (const { key, ref } of result.changed) {
      if (!result.known.has(key)) continue;
      onEvent({ type: 'stack-drift-repaired', name, object: describeRef(ref) });
    }
  }
  const isNews = !record.isCurrent || result.pruned > 0;
  if (isNews && result.failures.length === 0) {
    const changed = record.isCurrent ? 0 : result.changed.length;
    onEvent({ type: 'stack-applied', name, changed, pruned: result.pruned });
  }
}

function conclude({ record, nowMs }: SyncInput, failures: readonly ObjectFailure[]): void {
  if (failures.length === 0) {
    record.isApplied ||= record.desired !== undefined;
    record.isCurrent = true;
    record.failure = undefined;
    record.attempts = 0;
    record.retryAt = undefined;
    return;
  }
  record.attempts += 1;
  record.retryAt = nowMs + retryDelayMs(record.attempts);
  const mayPass = failures.every(({ error }) => mayPassSoon(error));
  if (!mayPass || record.attempts > quietAttempts) record.failure = describeFailures(failures);
}

/** Besides overload: a kind or a namespace that is just being made, a namespace that is just being deleted. */
function mayPassSoon(error: ObjectFailure['error']): boolean {
  if (isTransientKubeError(error) || isUnknownKindError(error)) return true;
  if (error.code === 404) return true;
  return error.code === 403 && /being terminated/.test(error.message);
}
