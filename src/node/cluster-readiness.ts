import { errorMessage } from '../base/errors.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube-client/types.ts';
import type { ManifestStack } from '../stacks/types.ts';

/** Whether something is Ready, and if not, why. */
export interface Readiness {
  readonly name: string;
  readonly isReady: boolean;
  readonly message: string;
}

export interface ClusterReadiness {
  readonly node?: Readiness;
  readonly addons: readonly Readiness[];
}

export interface ReadinessQuery {
  /** Undefined on a controller without workloads. */
  readonly nodeName: string | undefined;
  readonly stacks: readonly ManifestStack[];
  /**
   * Milliseconds since the epoch: what kubelet said before is of an earlier run. Compared in whole seconds, as the
   * API has them.
   */
  readonly since: number;
}

/** Asks the API whether the node and every packaged addon are Ready. Never throws: an error is a reason. */
export async function readClusterReadiness(
  client: Pick<KubeClient, 'get'>,
  query: ReadinessQuery,
  signal?: AbortSignal,
): Promise<ClusterReadiness> {
  const addons = query.stacks
    .map((stack) => ({ stack, workloads: stack.objects.filter(isJudged) }))
    .filter((entry) => entry.workloads.length > 0);
  const [node, ...rest] = await Promise.all([
    query.nodeName === undefined
      ? undefined
      : readNode(client, { name: query.nodeName, since: query.since }, signal),
    ...addons.map((entry) =>
      readAddon(client, entry.stack.name, { objects: entry.workloads, signal }),
    ),
  ]);
  return { ...(node === undefined ? {} : { node }), addons: rest };
}

export function isClusterReady(readiness: ClusterReadiness): boolean {
  return (readiness.node?.isReady ?? true) && readiness.addons.every((addon) => addon.isReady);
}

/** Kinds that say themselves whether they work. */
const judges: Readonly<
  Record<string, { resource: ResourceType; judge: (object: KubeObject) => string }>
> = {
  Deployment: {
    resource: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      plural: 'deployments',
      namespaced: true,
    },
    judge: judgeDeployment,
  },
  DaemonSet: {
    resource: { apiVersion: 'apps/v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true },
    judge: judgeDaemonSet,
  },
  APIService: {
    resource: {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      plural: 'apiservices',
      namespaced: false,
    },
    judge: (object) => judgeCondition(object, 'Available'),
  },
};

const nodes: ResourceType = { apiVersion: 'v1', kind: 'Node', plural: 'nodes', namespaced: false };

function isJudged(object: KubeObject): boolean {
  return judges[object.kind] !== undefined;
}

async function readNode(
  client: Pick<KubeClient, 'get'>,
  wanted: { readonly name: string; readonly since: number },
  signal: AbortSignal | undefined,
): Promise<Readiness> {
  const { name, since } = wanted;
  const message = await messageOf(async () => {
    const node = await client.get<KubeObject>({ resource: nodes, name }, signal);
    if (node === undefined) return 'not registered yet';
    const problem = judgeCondition(node, 'Ready');
    if (problem !== '') return problem;
    return isFresh(node, since) ? '' : 'kubelet has not reported since the start';
  });
  return { name, isReady: message === '', message };
}

function isFresh(node: KubeObject, since: number): boolean {
  const ready = statusOf(node).conditions?.find((entry) => entry.type === 'Ready');
  return Date.parse(ready?.lastHeartbeatTime ?? '') >= Math.floor(since / 1000) * 1000;
}

async function readAddon(
  client: Pick<KubeClient, 'get'>,
  name: string,
  work: { readonly objects: readonly KubeObject[]; readonly signal: AbortSignal | undefined },
): Promise<Readiness> {
  const messages = await Promise.all(
    work.objects.map((object) =>
      messageOf(async () => {
        const judged = judges[object.kind];
        if (judged === undefined) return '';
        const { namespace } = object.metadata;
        const ref = {
          resource: judged.resource,
          name: object.metadata.name,
          ...(namespace === undefined ? {} : { namespace }),
        };
        const current = await client.get<KubeObject>(ref, work.signal);
        return current === undefined ? `${object.kind} is not applied yet` : judged.judge(current);
      }),
    ),
  );
  const message = messages.filter((text) => text !== '').join('; ');
  return { name, isReady: message === '', message };
}

async function messageOf(read: () => Promise<string>): Promise<string> {
  try {
    return await read();
  } catch (error) {
    return error instanceof DOMException && error.name === 'TimeoutError'
      ? 'the API does not answer'
      : errorMessage(error);
  }
}

interface Status {
  readonly observedGeneration?: number;
  readonly availableReplicas?: number;
  readonly updatedReplicas?: number;
  readonly desiredNumberScheduled?: number;
  readonly numberAvailable?: number;
  readonly updatedNumberScheduled?: number;
  readonly conditions?: readonly {
    type: string;
    status: string;
    lastHeartbeatTime?: string;
    reason?: string;
    message?: string;
  }[];
}

function statusOf(object: KubeObject): Status {
  return object['status'] ?? {};
}

function judgeDeployment(object: KubeObject): string {
  const wanted = (object['spec'] as { replicas?: number } | undefined)?.replicas ?? 1;
  const status = statusOf(object);
  const available = Math.min(status.availableReplicas ?? 0, status.updatedReplicas ?? 0);
  return isObserved(object) && available >= wanted
    ? ''
    : `${available} of ${wanted} replicas are available`;
}

function judgeDaemonSet(object: KubeObject): string {
  const status = statusOf(object);
  const wanted = status.desiredNumberScheduled ?? 0;
  const available = Math.min(status.numberAvailable ?? 0, status.updatedNumberScheduled ?? 0);
  if (isObserved(object) && wanted > 0 && available >= wanted) return '';
  return wanted === 0 ? 'no node to run on yet' : `${available} of ${wanted} pods are available`;
}

function isObserved(object: KubeObject): boolean {
  return statusOf(object).observedGeneration === object.metadata['generation'];
}

/** Empty when the condition is True, else its reason and message. */
function judgeCondition(object: KubeObject, type: string): string {
  const condition = statusOf(object).conditions?.find((entry) => entry.type === type);
  if (condition?.status === 'True') return '';
  if (condition === undefined) return `${type} is not known yet`;
  return `${condition.reason ?? type}: ${condition.message ?? condition.status}`;
}
