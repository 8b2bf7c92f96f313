import type { KubeObject } from '../../../src/kube-client/types.ts';
import { type PlanInputs, planFor } from '../../support/plan-inputs.ts';

interface Probe {
  readonly initialDelaySeconds?: number;
  readonly periodSeconds: number;
}

export interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: unknown;
  }[];
  readonly resources: { readonly requests: { readonly cpu: string; readonly memory: string } };
  readonly readinessProbe: Probe;
  readonly startupProbe?: Probe;
  readonly volumeMounts: readonly { readonly mountPath: string; readonly readOnly?: boolean }[];
}

/** A Deployment or DaemonSet, as far as tests look at it. */
export interface Workload {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly nodeSelector?: Readonly<Record<string, string>>;
        readonly affinity?: { readonly nodeAffinity: unknown };
        readonly hostAliases?: unknown;
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly hostPath?: { readonly path: string } }[];
      };
    };
  };
}

export async function plannedObjects(inputs?: PlanInputs): Promise<readonly KubeObject[]> {
  return (await planFor(inputs)).stacks.flatMap(({ objects }) => objects);
}

export async function workloads(inputs?: PlanInputs): Promise<readonly Workload[]> {
  const objects = await plannedObjects(inputs);
  return objects.filter(
    ({ kind }) => kind === 'Deployment' || kind === 'DaemonSet',
  ) as unknown as Workload[];
}

export async function workload(name: string, inputs?: PlanInputs): Promise<Workload> {
  const found = (await workloads(inputs)).find(({ metadata }) => metadata.name === name);
  if (found === undefined) throw new Error(`no workload ${name}`);
  return found;
}

export function containersOf({ spec }: Workload): readonly Container[] {
  return spec.template.spec.containers;
}
