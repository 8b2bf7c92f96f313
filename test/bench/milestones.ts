import type { ApiView } from './node-view.ts';

/** A point of a start that is reached once. */
export interface MilestoneProbe {
  readonly name: string;
  isReached(api: ApiView): Promise<boolean>;
}

/**
 * What a start is measured by. `top` is what `kubectl top nodes` asks: it answers when metrics-server has seen
 * two rounds of the node's numbers.
 */
export function milestoneProbes(nodeName: string): readonly MilestoneProbe[] {
  const workloads = '/apis/apps/v1/namespaces/kube-system';
  return [
    { name: 'readyz', isReached: async (api) => (await api.get('/readyz'))?.status === 200 },
    {
      name: 'node',
      isReached: async (api) => isNodeReady(await getJson(api, `/api/v1/nodes/${nodeName}`)),
    },
    {
      name: 'kube-router',
      isReached: async (api) =>
        (numberIn(await getJson(api, `${workloads}/daemonsets/kube-router`), 'numberAvailable') ??
          0) >= 1,
    },
    ...['coredns', 'metrics-server'].map((name) => ({
      name,
      isReached: async (api: ApiView) =>
        (numberIn(await getJson(api, `${workloads}/deployments/${name}`), 'availableReplicas') ??
          0) >= 1,
    })),
    {
      name: 'top',
      isReached: async (api) => hasItems(await getJson(api, '/apis/metrics.k8s.io/v1beta1/nodes')),
    },
  ];
}

interface KubeJson {
  readonly status?: Readonly<Record<string, unknown>>;
  readonly items?: readonly unknown[];
}

async function getJson(api: ApiView, path: string): Promise<KubeJson | undefined> {
  const answer = await api.get(path);
  return answer?.status === 200 ? (JSON.parse(answer.body) as KubeJson) : undefined;
}

function isNodeReady(node: KubeJson | undefined): boolean {
  const conditions = node?.status?.['conditions'] as
    | readonly { readonly type: string; readonly status: string }[]
    | undefined;
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function numberIn(object: KubeJson | undefined, field: string): number | undefined {
  const value = object?.status?.[field];
  return typeof value === 'number' ? value : undefined;
}

function hasItems(list: KubeJson | undefined): boolean {
  return (list?.items?.length ?? 0) > 0;
}
