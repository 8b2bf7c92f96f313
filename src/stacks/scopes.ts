import { UserError } from '../base/errors.ts';
import { KubeApiError } from '../kube-client/errors.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { declaredScopes, resolveNamespaces } from './desired.ts';
import { groupKind } from './refs.ts';
import type { DesiredStack } from './types.ts';

export interface ScopeOptions {
  /** By stack name. */
  readonly offers: ReadonlyMap<string, DesiredStack>;
  /** Whether a kind is namespaced, by `groupKind`: what is known already, filled with what the server says. */
  readonly scopes: Map<string, boolean>;
  readonly signal: AbortSignal;
}

export interface ResolvedOffers {
  readonly stacks: ReadonlyMap<string, DesiredStack>;
  /** Names of stacks of which every kind is known. */
  readonly complete: ReadonlySet<string>;
  readonly problems: ReadonlyMap<string, string>;
}

/** Gives every object its place: only the server, or the definition of a custom kind, knows which kinds are namespaced. */
export async function resolveScopes(
  client: KubeClient,
  { offers, scopes, signal }: ScopeOptions,
): Promise<ResolvedOffers> {
  for (const stack of offers.values()) await askServer(client, { stack, scopes, signal });
  const declared = [...offers.values()].flatMap((stack) => [...declaredScopes(stack)]);
  const known = new Map([...declared, ...scopes]);
  const stacks = new Map<string, DesiredStack>();
  const complete = new Set<string>();
  const problems = new Map<string, string>();
  for (const [name, stack] of offers) {
    try {
      stacks.set(name, resolveNamespaces(stack, known));
      if (stack.objects.every(({ ref }) => known.has(groupKind(ref)))) complete.add(name);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.set(name, error.message);
    }
  }
  return { stacks, complete, problems };
}

async function askServer(
  client: KubeClient,
  {
    stack,
    scopes,
    signal,
  }: {
    readonly stack: DesiredStack;
    readonly scopes: Map<string, boolean>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const unknown = stack.objects.filter(({ ref }) => !scopes.has(groupKind(ref)));
  for (const [kind, { ref }] of new Map(unknown.map((object) => [groupKind(object.ref), object]))) {
    try {
      const resource = await client.discover(ref.apiVersion, ref.kind, signal);
      if (resource !== undefined) scopes.set(kind, resource.namespaced);
    } catch (error) {
      // An aggregated API whose server is down: this kind is asked for again at the next pass.
      if (!(error instanceof KubeApiError)) throw error;
    }
  }
}
