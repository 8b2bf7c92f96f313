import { describe, expect, it } from 'vitest';
import { planFor } from '../../support/plan-inputs.ts';
import { containersOf, workloads } from './workloads.ts';

describe('packaged addons', () => {
  it('ask for little: on one node together at most 100 MiB and a tenth of a CPU', async () => {
    const everywhere = (await workloads()).filter(
      ({ metadata }) => metadata.name !== 'coredns-site',
    );
    const requests = everywhere.flatMap(containersOf).map(({ resources }) => resources.requests);
    expect(requests).toHaveLength(3);
    const sum = (values: string[]) =>
      values.reduce((total, text) => total + Number.parseInt(text, 10), 0);
    expect(sum(requests.map(({ memory }) => memory))).toBeLessThanOrEqual(100);
    expect(sum(requests.map(({ cpu }) => cpu))).toBeLessThanOrEqual(100);
  });

  it('are not held up by a probe delay', async () => {
    for (const workload of await workloads()) {
      for (const { readinessProbe, startupProbe } of containersOf(workload)) {
        expect(readinessProbe.initialDelaySeconds).toBeUndefined();
        expect((startupProbe ?? readinessProbe).periodSeconds).toBeLessThanOrEqual(5);
      }
    }
  });

  it('have one replica each, and images from the plan', async () => {
    const plan = await planFor();
    const planned = plan.images.map(({ reference }) => reference);
    for (const workload of await workloads()) {
      expect(workload.spec.replicas ?? 1).toBe(1);
      for (const { image } of containersOf(workload)) expect(planned).toContain(image);
    }
  });

  it('name a namespace wherever one is needed', async () => {
    const plan = await planFor();
    const namespaced = new Set([
      ...['ServiceAccount', 'ConfigMap', 'Secret', 'Service', 'RoleBinding', 'Role'],
      ...['Deployment', 'DaemonSet'],
    ]);
    for (const { kind, metadata } of plan.stacks.flatMap(({ objects }) => objects)) {
      expect(metadata.namespace !== undefined, kind).toBe(namespaced.has(kind));
    }
  });

  it('select their own pods and no others', async () => {
    const all = await workloads();
    for (const { kind, metadata, spec } of all) {
      const { matchLabels } = spec.selector;
      expect(spec.template.metadata.labels).toMatchObject(matchLabels);
      // A Deployment's ReplicaSets add a label of their own to the selector.
      if (kind === 'Deployment') continue;
      const others = all.filter((other) => other.metadata.name !== metadata.name);
      for (const other of others) {
        expect(other.spec.template.metadata.labels).not.toMatchObject(matchLabels);
      }
    }
  });
});
