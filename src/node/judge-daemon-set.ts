import type { KubeClient, KubeObject, ResourceType } from '../kube-client/types.ts';
import { isObserved, judgeCondition, statusOf } from './judge-object.ts';

const pods: ResourceType = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };

interface DaemonSetSpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly template?: {
    readonly spec?: { readonly nodeSelector?: Readonly<Record<string, string>> };
  };
}

/** One with a node selector is for some nodes only, and there need be none. */
export function judgeDaemonSet(object: KubeObject): string {
  const status = statusOf(object);
  const wanted = status.desiredNumberScheduled ?? 0;
  if (isObserved(object) && wanted === 0 && isForSomeNodes(object)) return '';
  const available = Math.min(status.numberAvailable ?? 0, status.updatedNumberScheduled ?? 0);
  if (isObserved(object) && wanted > 0 && available >= wanted) return '';
  return wanted === 0 ? 'no node to run on yet' : `${available} of ${wanted} pods are available`;
}

const operatingSystem = 'kubernetes.io/os';

function isForSomeNodes(daemonSet: KubeObject): boolean {
  const { template } = (daemonSet['spec'] ?? {}) as DaemonSetSpec;
  const selector = Object.keys(template?.spec?.nodeSelector ?? {});
  return selector.some((label) => label !== operatingSystem);
}

/**
 * Whether what is missing of a DaemonSet is on other nodes, which say themselves whether they are Ready: a worker that
 * is switched off must not make its controller look broken. Asks for one pod, and only when something is missing.
 */
export async function isFineHere(
  client: Pick<KubeClient, 'list'>,
  daemonSet: KubeObject,
  here: { readonly nodeName: string | undefined; readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  const { nodeName, signal } = here;
  if (nodeName === undefined || !isObserved(daemonSet)) return false;
  const { namespace, annotations } = daemonSet.metadata;
  const { selector } = (daemonSet['spec'] ?? {}) as DaemonSetSpec;
  const { items } = await client.list<KubeObject>(pods, {
    ...(namespace === undefined ? {} : { namespace }),
    fieldSelector: `spec.nodeName=${nodeName}`,
    labelSelector: Object.entries(selector?.matchLabels ?? {})
      .map(([label, value]) => `${label}=${value}`)
      .join(','),
    ...(signal === undefined ? {} : { signal }),
  });
  if (items.length === 0) return isForSomeNodes(daemonSet);
  const generation = annotations?.[generationAnnotation];
  return items.some(
    (pod) =>
      pod.metadata.labels?.[generationLabel] === generation && judgeCondition(pod, 'Ready') === '',
  );
}

/**
 * By which the DaemonSet's controller tells pods of this template from older ones.
 * @see https://kubernetes.io/docs/reference/labels-annotations-taints/#deprecated-daemonset-template-generation
 */
const generationAnnotation = 'deprecated.daemonset.template.generation';
const generationLabel = 'pod-template-generation';
