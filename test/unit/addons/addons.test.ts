import { describe, expect, it } from 'vitest';
import { corefile } from '../../../src/addons/coredns.ts';
import type { AddonContext } from '../../../src/addons/types.ts';
import { defaultConfig } from '../../../src/config/parse.ts';
import { planFor } from '../../support/plan-inputs.ts';

async function context(hasUpstreamNameserver: boolean): Promise<AddonContext> {
  return {
    config: await defaultConfig(),
    images: { coredns: 'c', kubeRouter: 'k', metricsServer: 'm' },
    clusterDns: '10.96.0.10',
    hasUpstreamNameserver,
  };
}

interface Workload {
  spec: {
    replicas?: number;
    template: {
      spec: {
        containers: {
          image: string;
          resources: { requests: { cpu: string; memory: string } };
          readinessProbe: { initialDelaySeconds?: number; periodSeconds: number };
          startupProbe?: { periodSeconds: number };
        }[];
      };
    };
  };
}

async function workloads() {
  const plan = await planFor();
  return plan.stacks
    .flatMap(({ objects }) => objects)
    .filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet') as unknown as Workload[];
}

describe('corefile', () => {
  it('forwards only where there is a nameserver to forward to', async () => {
    expect(corefile(await context(true))).toContain('forward . /etc/resolv.conf');
    expect(corefile(await context(false))).not.toContain('forward');
  });
});

describe('packaged addons', () => {
  it('ask for little: together at most 100 MiB and a tenth of a CPU', async () => {
    const requests = (await workloads())
      .flatMap(({ spec }) => spec.template.spec.containers)
      .map(({ resources }) => resources.requests);
    expect(requests).toHaveLength(3);
    const sum = (values: string[]) =>
      values.reduce((total, text) => total + Number.parseInt(text, 10), 0);
    expect(sum(requests.map(({ memory }) => memory))).toBeLessThanOrEqual(100);
    expect(sum(requests.map(({ cpu }) => cpu))).toBeLessThanOrEqual(100);
  });

  it('are not held up by a probe delay', async () => {
    for (const { spec } of await workloads()) {
      for (const { readinessProbe, startupProbe } of spec.template.spec.containers) {
        expect(readinessProbe.initialDelaySeconds).toBeUndefined();
        expect((startupProbe ?? readinessProbe).periodSeconds).toBeLessThanOrEqual(5);
      }
    }
  });

  it('have one replica each, and images from the plan', async () => {
    const plan = await planFor();
    const planned = plan.images.map(({ reference }) => reference);
    for (const { spec } of await workloads()) {
      expect(spec.replicas ?? 1).toBe(1);
      for (const { image } of spec.template.spec.containers) expect(planned).toContain(image);
    }
  });

  it('name a namespace wherever one is needed', async () => {
    const plan = await planFor();
    const clusterScoped = new Set(['ClusterRole', 'ClusterRoleBinding', 'APIService']);
    for (const { kind, metadata } of plan.stacks.flatMap(({ objects }) => objects)) {
      expect(metadata.namespace === undefined).toBe(clusterScoped.has(kind));
    }
  });
});
