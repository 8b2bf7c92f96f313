import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { pathsFor } from '../../../src/config/paths.ts';
import { planWorker } from '../../../src/node/plan.ts';
import type { NodePlan } from '../../../src/node/plan-types.ts';
import { flagsOf, jsonFile, smallHost } from '../../support/plan-inputs.ts';

interface Inputs {
  readonly spec?: string;
  readonly hasCertificate?: boolean;
}

async function planFor(inputs: Inputs = {}): Promise<NodePlan> {
  const text = inputs.spec === undefined ? '' : `spec:\n${inputs.spec}`;
  return planWorker({
    config: await parseConfig(text, 'test'),
    host: smallHost,
    paths: pathsFor(),
    apiServers: ['192.168.7.2:6443'],
    membership: {
      ca: 'the CA\n',
      gateways: ['192.168.7.2:9443'],
      hasCertificate: inputs.hasCertificate ?? true,
    },
  });
}

describe('planWorker', () => {
  it('is the golden plan of a worker', async () => {
    await expect(`${JSON.stringify(await planFor(), null, 2)}\n`).toMatchFileSnapshot(
      '../../fixtures/plans/worker.json.golden',
    );
  });

  it('has no part of the control plane, and no key', async () => {
    const plan = await planFor();
    expect(plan.processes.map(({ name }) => name)).toEqual(['containerd', 'kubelet', 'kube-proxy']);
    expect(plan.pki).toEqual({ authorities: [], certificates: [], keyPairs: [], secrets: [] });
    expect(plan.stacks).toEqual([]);
    expect(plan.tunnel).toBeUndefined();
    const executables = plan.artifacts.flatMap((artifact) =>
      artifact.kind === 'executable' ? artifact.members.map(({ name }) => name) : [],
    );
    expect(executables).not.toContain('etcd');
    expect(executables).not.toContain('kube-apiserver');
  });

  it('starts nothing before the balancer that needs the API, and the kubelet without the API', async () => {
    const plan = await planFor();
    const dependsOn = Object.fromEntries(
      plan.processes.map((process) => [process.name, process.dependsOn]),
    );
    expect(dependsOn).toEqual({
      containerd: [],
      kubelet: ['containerd', 'api-endpoint'],
      'kube-proxy': ['membership'],
    });
  });

  it('lets the kubelet ask for a certificate only while it has none', async () => {
    const flag = 'bootstrap-kubeconfig';
    expect(flagsOf(await planFor({ hasCertificate: false }), 'kubelet').get(flag)).toBe(
      '/var/lib/mini-k8s/etc/kubelet-bootstrap.kubeconfig',
    );
    expect(flagsOf(await planFor(), 'kubelet').has(flag)).toBe(false);
  });

  it('keeps the mirrors, which name its certificate, apart from what is written before it has one', async () => {
    const plan = await planFor({ hasCertificate: false });
    const mirrors = '/etc/mini-k8s/registries/_default/hosts.toml';
    expect(plan.worker?.memberFiles.map(({ path }) => path)).toEqual([mirrors]);
    expect(plan.files.map(({ path }) => path)).not.toContain(mirrors);
  });

  it('gives kube-proxy the identity of the node', async () => {
    expect(jsonFile(await planFor(), 'kube-proxy.json')).toMatchObject({
      clientConnection: { kubeconfig: '/var/lib/mini-k8s/etc/kubelet.kubeconfig' },
    });
  });

  it('registers with the labels and taints of this machine', async () => {
    const plan = await planFor({
      spec: "  node: {labels: {example.com/rack: r1}, taints: ['dedicated=edge:NoSchedule', 'slow:PreferNoSchedule']}",
    });
    expect(flagsOf(plan, 'kubelet').get('node-labels')).toBe('example.com/rack=r1');
    expect(jsonFile(plan, 'kubelet.json')).toMatchObject({
      registerWithTaints: [
        { key: 'dedicated', value: 'edge', effect: 'NoSchedule' },
        { key: 'slow', effect: 'PreferNoSchedule' },
      ],
    });
  });
});
