import path from 'node:path';
import type { DeployerState, PassContext } from './deployer-state.ts';
import { userNames } from './deployer-state.ts';
import { desiredStack, isSameStack } from './desired.ts';
import { unionRefs } from './inventory.ts';
import { loadInventories } from './inventory-store.ts';
import { newRecord } from './stack-record.ts';
import type { DesiredStack, StackStatus } from './types.ts';
import type { UserStacks } from './user-source.ts';

/** Versions that sources have and that are not accepted yet, by stack name. */
export interface Offers {
  readonly offers: Map<string, DesiredStack>;
}

/** A stack that this program no longer has is removed; a name that was a user's is taken over, its objects left alone. */
export function offerPackaged(
  context: PassContext,
  state: DeployerState,
  { offers, removed }: Offers & { readonly removed: Set<string> },
): void {
  const { packaged } = context;
  const stacks = typeof packaged === 'function' ? packaged() : packaged;
  for (const stack of stacks) {
    const existing = state.records.get(stack.name);
    const record = existing?.origin === 'packaged' ? existing : newRecord(stack.name, 'packaged');
    state.records.set(stack.name, record);
    const desired = desiredStack(stack, 'packaged');
    if (!isSameStack(record.source, desired)) offers.set(stack.name, desired);
  }
  const names = new Set(stacks.map(({ name }) => name));
  for (const { name, origin } of state.records.values()) {
    if (origin === 'packaged' && !names.has(name)) removed.add(name);
  }
}

/** What the cluster remembers: stacks of an earlier start, and objects that this process does not know (a restored snapshot). */
export async function mergeInventories(
  context: PassContext,
  state: DeployerState,
  signal: AbortSignal,
): Promise<void> {
  const { inventories, unreadable } = await loadInventories(context.client, signal);
  for (const name of unreadable)
    context.logger.debug('a stack inventory is not readable', { name });
  for (const record of state.records.values()) record.stored = undefined;
  for (const { name, origin, refs } of inventories) {
    const record = state.records.get(name) ?? newRecord(name, origin);
    state.records.set(name, record);
    record.stored = refs;
    if (record.origin === origin) record.inventory = unionRefs(refs, record.inventory);
    // Written with its new origin, although the objects may be the same.
    else record.stored = undefined;
  }
}

/** Returns the user stacks of the cluster that have no directory at this moment. */
export function offerUser(
  context: PassContext,
  state: DeployerState,
  { offers, user }: Offers & { readonly user: UserStacks },
): ReadonlySet<string> {
  const { manifestsDir } = context;
  const strays = user.strays.map(({ name, message }) => strayStatus(name, message));
  if (user.unreadable !== undefined) {
    strays.push(strayStatus(path.basename(manifestsDir), user.unreadable));
  }
  for (const stack of user.stacks) {
    const existing = state.records.get(stack.name);
    if (existing?.origin === 'packaged') {
      const message = `a packaged stack has the name "${stack.name}": rename ${path.join(manifestsDir, stack.name)}`;
      strays.push(strayStatus(stack.name, message));
      continue;
    }
    const record = existing ?? newRecord(stack.name, 'user');
    state.records.set(stack.name, record);
    record.problem = stack.problem;
    record.mayPrune = stack.mayPrune;
    if (stack.desired !== undefined && stack.desired !== record.source) {
      offers.set(stack.name, stack.desired);
    }
  }
  announceStrays(context, state, strays);
  state.directories = [
    manifestsDir,
    ...user.stacks.map(({ name }) => path.join(manifestsDir, name)),
  ];
  const present = new Set(user.stacks.map(({ name }) => name));
  return new Set(userNames(state).filter((name) => !present.has(name)));
}

function strayStatus(name: string, message: string): StackStatus {
  return { name, origin: 'user', state: 'Failed', objects: 0, message };
}

function announceStrays(
  context: PassContext,
  state: DeployerState,
  strays: readonly StackStatus[],
): void {
  for (const { name, message = '' } of strays) {
    const isKnown = state.strays.some((stray) => stray.name === name && stray.message === message);
    if (!isKnown) context.onEvent({ type: 'stack-failed', name, message });
  }
  state.strays = strays;
}
