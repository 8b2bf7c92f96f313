import { errorMessage } from '../base/errors.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube-client/types.ts';
import type { ManifestStack } from '../stacks/types.ts';
import { isFineHere, judgeDaemonSet } from './judge-daemon-set.ts';
import { judgeCondition, judgeDeployment, statusOf } from './judge-object.ts';

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

/** All that is needed of a client. */
export type ReadinessClient = Pick<KubeClient, 'get' | 'list'>;

/** Asks the API whether the node and every packaged addon are Ready. Never throws: an error is a reason. */
export async function readClusterReadiness(
  client: ReadinessClient,
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
      readAddon(client, entry.stack.name, {
        objects: entry.workloads,
        nodeName: query.nodeName,
        signal,
      }),
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
  client: ReadinessClient,
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
  client: ReadinessClient,
  name: string,
  work: {
    readonly objects: readonly KubeObject[];
    readonly nodeName: string | undefined;
    readonly signal: AbortSignal | undefined;
  },
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
        if (current === undefined) return `${object.kind} is not applied yet`;
        const problem = judged.judge(current);
        const isElsewhere =
          problem !== '' &&
          object.kind === 'DaemonSet' &&
          (await isFineHere(client, current, work));
        return isElsewhere ? '' : problem;
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
