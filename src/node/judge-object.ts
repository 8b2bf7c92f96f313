import type { KubeObject } from '../kube-client/types.ts';

/** What the kinds that are judged say of themselves. */
export interface Status {
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

export function statusOf(object: KubeObject): Status {
  return object['status'] ?? {};
}

/** Empty when it works, else what is missing; so do the others here. */
export function judgeDeployment(object: KubeObject): string {
  const wanted = (object['spec'] as { replicas?: number } | undefined)?.replicas ?? 1;
  const status = statusOf(object);
  const available = Math.min(status.availableReplicas ?? 0, status.updatedReplicas ?? 0);
  return isObserved(object) && available >= wanted
    ? ''
    : `${available} of ${wanted} replicas are available`;
}

/** The status is of the object as it is now. */
export function isObserved(object: KubeObject): boolean {
  return statusOf(object).observedGeneration === object.metadata['generation'];
}

/** Empty when the condition is True, else its reason and message. */
export function judgeCondition(object: KubeObject, type: string): string {
  const condition = statusOf(object).conditions?.find((entry) => entry.type === type);
  if (condition?.status === 'True') return '';
  if (condition === undefined) return `${type} is not known yet`;
  return `${condition.reason ?? type}: ${condition.message ?? condition.status}`;
}
