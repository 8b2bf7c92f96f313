import { throwCollected, UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import type { Authority } from './certificate-builder.ts';
import { type AuthorityFound, completeAuthority, findAuthority } from './ensure-authority.ts';
import { completeKeyPair, findKeyPair, type KeyPairFound } from './ensure-key-pair.ts';
import { ensureLeaf, leafProblems } from './ensure-leaf.ts';
import { completeSecret, findSecret } from './ensure-secret.ts';
import { removeTemporaryFiles } from './pki-files.ts';
import type { AuthoritySpec, KeyPairSpec, PkiEvent, PkiPlan, SecretSpec } from './types.ts';

export interface EnsurePkiOptions {
  /** Must be right: issue only behind the clock gate. */
  readonly clock: Clock;
  readonly onEvent: (event: PkiEvent) => void;
}

/**
 * Makes every authority, leaf, key pair and secret of the plan true. A second run writes nothing; a run after one
 * that was killed anywhere completes it. Leaves are issued again when they must be (`IssueReason`); what cannot be made
 * again without losing data (an authority's key, a key pair's private key, a secret) is never replaced.
 *
 * ```
 * look at all, write nothing ─► any damage? throw all of it ─► authorities ─► key pairs, secrets ─► leaves
 * ```
 * One run at a time: the caller holds the node's lock.
 *
 * @throws UserError or UserErrors naming the damaged files and what to do.
 */
export async function ensurePki(plan: PkiPlan, options: EnsurePkiOptions): Promise<void> {
  const found = await findAll(plan);
  await removeTemporaryFiles(filesOf(plan));
  const authorities = await completeAuthorities(found.authorities, options);
  for (const [spec, keyPair] of found.keyPairs) {
    const isNew = await completeKeyPair(spec, keyPair);
    if (isNew) options.onEvent({ type: 'key-pair-created', name: spec.name });
  }
  for (const [spec, secret] of found.secrets) {
    const isNew = await completeSecret(spec, secret);
    if (isNew) options.onEvent({ type: 'secret-created', name: spec.name });
  }
  for (const spec of plan.certificates) {
    const authority = authorities.get(spec.authority);
    if (authority === undefined) throw new TypeError(`no authority ${spec.authority} in the plan`);
    const reason = await ensureLeaf(spec, { authority, nowMs: options.clock.now() });
    if (reason === undefined) continue;
    options.onEvent({ type: 'certificate-issued', name: spec.name, reason });
  }
}

interface Found {
  readonly authorities: readonly (readonly [AuthoritySpec, AuthorityFound])[];
  readonly keyPairs: readonly (readonly [KeyPairSpec, KeyPairFound])[];
  readonly secrets: readonly (readonly [SecretSpec, string | undefined])[];
}

async function findAll(plan: PkiPlan): Promise<Found> {
  const problems: UserError[] = plan.certificates.flatMap(leafProblems);
  const authorities = await findEach(plan.authorities, problems, (spec) => {
    const leaves = plan.certificates.filter((leaf) => leaf.authority === spec.name);
    return findAuthority(
      spec,
      leaves.map((leaf) => leaf.certFile),
    );
  });
  const keyPairs = await findEach(plan.keyPairs, problems, findKeyPair);
  const secrets = await findEach(plan.secrets, problems, findSecret);
  throwCollected(problems);
  return { authorities, keyPairs, secrets };
}

async function findEach<Spec, Result>(
  specs: readonly Spec[],
  problems: UserError[],
  find: (spec: Spec) => Promise<Result>,
): Promise<(readonly [Spec, Result])[]> {
  const results: (readonly [Spec, Result])[] = [];
  for (const spec of specs) {
    try {
      results.push([spec, await find(spec)]);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(error);
    }
  }
  return results;
}

async function completeAuthorities(
  found: Found['authorities'],
  options: EnsurePkiOptions,
): Promise<ReadonlyMap<string, Authority>> {
  const authorities = new Map<string, Authority>();
  for (const [spec, state] of found) {
    authorities.set(spec.name, await completeAuthority(spec, state, options.clock));
    if (state.type !== 'complete') options.onEvent({ type: 'authority-created', name: spec.name });
  }
  return authorities;
}

function filesOf(plan: PkiPlan): string[] {
  return [
    ...[...plan.authorities, ...plan.certificates].flatMap((spec) => [spec.certFile, spec.keyFile]),
    ...plan.keyPairs.flatMap((spec) => [spec.privateKeyFile, spec.publicKeyFile]),
    ...plan.secrets.map((spec) => spec.file),
  ];
}
