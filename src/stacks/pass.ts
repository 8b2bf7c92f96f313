import { type Claims, resolveClaims } from './claims.ts';
import {
  type DeployerState,
  orderedRecords,
  type PassContext,
  userNames,
} from './deployer-state.ts';
import { isSameStack } from './desired.ts';
import { observe } from './observe.ts';
import { mergeInventories, type Offers, offerPackaged, offerUser } from './offers.ts';
import { refKey } from './refs.ts';
import { resolveScopes } from './scopes.ts';
import { failureEvent, type StackRecord, setDesired } from './stack-record.ts';
import { removeStack, type SyncInput, syncStack } from './sync-stack.ts';
import type { DesiredStack, StackRef } from './types.ts';

/**
 * One look at sources and cluster, and what follows from it.
 * @returns milliseconds until the next one.
 * @throws KubeConnectionError or a transient KubeApiError: what was done stays, and the next pass goes on from there.
 */
export async function runPass(
  context: PassContext,
  state: DeployerState,
  signal: AbortSignal,
): Promise<number> {
  const nowMs = context.clock.now();
  const isDriftDue = state.driftAt === undefined || nowMs >= state.driftAt;
  const offers = new Map<string, DesiredStack>();
  const removed = new Set<string>();
  if (isDriftDue) {
    offerPackaged(context, state, { offers, removed });
    await mergeInventories(context, state, signal);
  }
  const user = await context.source.poll(userNames(state));
  const absent = offerUser(context, state, { offers, user });
  for (const name of user.gone) removed.add(name);
  const claims = await acceptOffers(context, state, { offers, absent, removed, signal });
  const work = orderedRecords(state).filter(
    (record) => removed.has(record.name) || isDriftDue || isDue(record, nowMs),
  );
  const live = await observe(context.client, work.flatMap(refsOf), signal);
  for (const record of work) {
    const { client, onEvent, timing } = context;
    const { unservedAfterMs } = timing;
    const input: SyncInput = {
      client,
      onEvent,
      record,
      live,
      owners: claims.owners,
      nowMs,
      unservedAfterMs,
      signal,
    };
    if (!removed.has(record.name)) await syncStack(input);
    else if (await removeStack(input)) state.records.delete(record.name);
  }
  for (const record of state.records.values()) {
    const event = failureEvent(record);
    if (event !== undefined) context.onEvent(event);
  }
  if (isDriftDue) state.driftAt = nowMs + context.timing.driftMs;
  return nextLookInMs(context, state, user.lookAgainInMs);
}

interface AcceptOptions extends Offers {
  readonly absent: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/** Offers become what is desired, unless they want what belongs to another stack: then the last good version stays. */
async function acceptOffers(
  context: PassContext,
  state: DeployerState,
  { offers, absent, removed, signal }: AcceptOptions,
): Promise<Claims> {
  const resolved = await resolveScopes(context.client, { offers, scopes: state.scopes, signal });
  const claiming = orderedRecords(state).filter(
    ({ name }) => !absent.has(name) && !removed.has(name),
  );
  const claims = resolveClaims(
    claiming.map(({ name, origin, desired, inventory }) => {
      const wants = (resolved.stacks.get(name) ?? desired)?.objects.map(({ ref }) => ref);
      return { name, origin, wants: wants ?? inventory, has: inventory };
    }),
  );
  for (const record of claiming) {
    const conflict = claims.conflicts.get(record.name);
    const offer = resolved.stacks.get(record.name);
    record.problem ??= resolved.problems.get(record.name) ?? conflict;
    if (offer === undefined || conflict !== undefined) continue;
    if (resolved.complete.has(record.name)) record.source = offers.get(record.name);
    if (!isSameStack(record.desired, offer)) setDesired(record, offer);
  }
  return claims;
}

function isDue(record: StackRecord, nowMs: number): boolean {
  if (record.retryAt !== undefined) return nowMs >= record.retryAt;
  if (record.desired === undefined) return false;
  return !record.isCurrent || (record.mayPrune && hasLeftovers(record, record.desired));
}

function hasLeftovers(record: StackRecord, desired: DesiredStack): boolean {
  const keys = new Set(desired.objects.map(({ key }) => key));
  return record.inventory.some((ref) => !keys.has(refKey(ref)));
}

/** Desired ones first: their API version is the one to list the kind by. */
function refsOf({ desired, inventory }: StackRecord): readonly StackRef[] {
  return [...(desired?.objects.map(({ ref }) => ref) ?? []), ...inventory];
}

function nextLookInMs(
  context: PassContext,
  state: DeployerState,
  lookAgainInMs: number | undefined,
): number {
  const now = context.clock.now();
  const dues = [...state.records.values()].flatMap(({ retryAt }) => retryAt ?? []);
  if (state.driftAt !== undefined) dues.push(state.driftAt);
  const waits = dues.map((due) => due - now);
  if (lookAgainInMs !== undefined) waits.push(lookAgainInMs);
  return Math.max(0, Math.min(context.timing.rescanMs, ...waits));
}
