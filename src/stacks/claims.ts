import { describeRef, refKey } from './refs.ts';
import type { StackOrigin, StackRef } from './types.ts';

/** What one stack wants, and what it already has. */
export interface StackClaim {
  readonly name: string;
  readonly origin: StackOrigin;
  readonly wants: readonly StackRef[];
  /** Its inventory: of two stacks that want an object, the one that has it keeps it. */
  readonly has: readonly StackRef[];
}

/** Who may apply what. */
export interface Claims {
  /** Stack name by object key. */
  readonly owners: ReadonlyMap<string, string>;
  /** One line per stack that wants an object of another one, by stack name. */
  readonly conflicts: ReadonlyMap<string, string>;
}

/** Gives each object to one stack: packaged ones first, then whoever has it, then by name. */
export function resolveClaims(claims: readonly StackClaim[]): Claims {
  const owners = new Map<string, string>();
  const take = (claim: StackClaim, refs: readonly StackRef[]) => {
    for (const ref of refs) if (!owners.has(refKey(ref))) owners.set(refKey(ref), claim.name);
  };
  const packaged = claims.filter(({ origin }) => origin === 'packaged');
  const user = claims
    .filter(({ origin }) => origin === 'user')
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const claim of packaged) take(claim, claim.wants);
  for (const claim of user) {
    const held = new Set(claim.has.map(refKey));
    take(
      claim,
      claim.wants.filter((ref) => held.has(refKey(ref))),
    );
  }
  for (const claim of user) take(claim, claim.wants);
  return { owners, conflicts: findConflicts(claims, owners) };
}

function findConflicts(
  claims: readonly StackClaim[],
  owners: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const conflicts = new Map<string, string>();
  for (const { name, wants } of claims) {
    const foreign = wants.find((ref) => owners.get(refKey(ref)) !== name);
    if (foreign === undefined) continue;
    const owner = owners.get(refKey(foreign)) ?? '';
    conflicts.set(name, `${describeRef(foreign)} belongs to stack ${owner}`);
  }
  return conflicts;
}
