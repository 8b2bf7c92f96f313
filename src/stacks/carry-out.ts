import { sleep } from '../base/time.ts';
import { KubeApiError, KubeConnectionError } from '../kube-client/errors.ts';
import type { KubeClient, KubeObject, ObjectRef } from '../kube-client/types.ts';
import { hasSameContent } from './content.ts';
import { appliedAt } from './observe.ts';
import { isDefinition } from './order.ts';
import type { LiveView, StackPlan } from './plan.ts';
import { fieldManager } from './refs.ts';
import type { AppliedRecord, DesiredObject, LiveObject, StackRef } from './types.ts';

/** A new CustomResourceDefinition is served after some hundred milliseconds; then its objects can be applied. */
const definitionTimeoutMs = 10_000;
const definitionPollMs = 100;

export interface ObjectFailure {
  readonly ref: StackRef;
  readonly error: KubeApiError;
}

export interface ApplyOutcome {
  /** Objects that the server changed or made. */
  readonly changed: readonly DesiredObject[];
  readonly failures: readonly ObjectFailure[];
}

export interface ApplyInput {
  readonly client: KubeClient;
  readonly plan: StackPlan;
  readonly live: LiveView;
  /** Filled with what was applied. */
  readonly applied: Map<string, AppliedRecord>;
  readonly signal: AbortSignal;
}

/**
 * Applies what the plan says, in order; a refused object does not hold up the others.
 * @throws KubeConnectionError, KubeApiError 429: go on later; the signal's reason when aborted.
 */
export async function applyObjects(input: ApplyInput): Promise<ApplyOutcome> {
  const changed: DesiredObject[] = [];
  const failures: ObjectFailure[] = [];
  let definitions: DesiredObject[] = [];
  for (const object of input.plan.apply) {
    if (!isDefinition(object.ref) && definitions.length > 0) {
      await waitUntilServed(input.client, definitions, input.signal);
      definitions = [];
    }
    const result = await applyObject(input, object);
    if (result instanceof KubeApiError) failures.push({ ref: object.ref, error: result });
    else if (result === 'changed') changed.push(object);
    if (result === 'changed' && isDefinition(object.ref)) definitions.push(object);
  }
  return { changed, failures };
}

async function applyObject(
  { client, live, applied, signal }: ApplyInput,
  object: DesiredObject,
): Promise<'changed' | 'same' | KubeApiError> {
  try {
    const body = JSON.parse(object.body) as KubeObject;
    const before = live.objects.get(object.key);
    const mayBeRepair = before !== undefined && applied.has(object.key);
    const content = mayBeRepair ? await readObject(client, object.ref, signal) : undefined;
    const result = await client.apply<KubeObject>(body, { fieldManager, force: true, signal });
    const { uid = '', resourceVersion = '' } = result.metadata;
    applied.set(object.key, { body: object.body, uid, resourceVersion });
    const isSame =
      before?.uid === uid &&
      (before.resourceVersion === resourceVersion ||
        before.appliedAt === appliedAt(result) ||
        // Where the server completes what we wrote, an apply after another manager's is a write of nothing.
        (content !== undefined && hasSameContent(content, result)));
    return isSame ? 'same' : 'changed';
  } catch (error) {
    applied.delete(object.key);
    return refusalOf(error);
  }
}

/** Deletes what the plan says, in order. Errors as with `applyObjects`. */
export async function pruneObjects(
  client: KubeClient,
  prune: readonly LiveObject[],
  signal: AbortSignal,
): Promise<{ readonly pruned: number; readonly failures: readonly ObjectFailure[] }> {
  const failures: ObjectFailure[] = [];
  let pruned = 0;
  for (const { ref, uid } of prune) {
    try {
      const target = await findTarget(client, ref, signal);
      if (target === undefined) continue;
      if (await client.delete(target, signal, { uid })) pruned += 1;
    } catch (error) {
      failures.push({ ref, error: refusalOf(error) });
    }
  }
  return { pruned, failures };
}

async function readObject(
  client: KubeClient,
  ref: StackRef,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  const target = await findTarget(client, ref, signal);
  return target === undefined ? undefined : await client.get(target, signal);
}

async function findTarget(
  client: KubeClient,
  { apiVersion, kind, name, namespace }: StackRef,
  signal: AbortSignal,
): Promise<ObjectRef | undefined> {
  const resource = await client.discover(apiVersion, kind, signal);
  if (resource === undefined) return undefined;
  return { resource, name, ...(namespace === undefined ? {} : { namespace }) };
}

/** @throws whatever concerns the connection and not the object. */
function refusalOf(error: unknown): KubeApiError {
  if (error instanceof KubeApiError && error.code !== 429) return error;
  throw error;
}

/** Waits until the kinds can be found; when that takes too long their objects fail and are tried again later. */
async function waitUntilServed(
  client: KubeClient,
  definitions: readonly DesiredObject[],
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + definitionTimeoutMs;
  for (const definition of definitions) {
    while (!(await isServed(client, definition, signal))) {
      if (performance.now() > deadline) return;
      await sleep(definitionPollMs, signal);
    }
  }
}

async function isServed(
  client: KubeClient,
  definition: DesiredObject,
  signal: AbortSignal,
): Promise<boolean> {
  const { apiVersion, kind, name } = definition.ref;
  const { spec } = JSON.parse(definition.body) as { spec?: DefinitionSpec };
  const served = (spec?.versions ?? []).find((version) => version.served)?.name;
  const servedKind = spec?.names?.kind;
  if (spec?.group === undefined || served === undefined || servedKind === undefined) return true;
  try {
    const resource = await client.discover(apiVersion, kind, signal);
    if (resource === undefined) return true;
    const found = await client.get<DefinitionStatus>({ resource, name }, signal);
    if (found === undefined || !isEstablished(found)) return found === undefined;
    return (await client.discover(`${spec.group}/${served}`, servedKind, signal)) !== undefined;
  } catch (error) {
    if (error instanceof KubeConnectionError) throw error;
    return false;
  }
}

interface DefinitionSpec {
  readonly group?: string;
  readonly names?: { readonly kind?: string };
  readonly versions?: readonly { readonly name: string; readonly served: boolean }[];
}

interface DefinitionStatus extends KubeObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

function isEstablished({ status }: DefinitionStatus): boolean {
  return (status?.conditions ?? []).some(
    (condition) => condition.type === 'Established' && condition.status === 'True',
  );
}
