import { describe, expect, it } from 'vitest';
import { podTargets as readPod, selectTargets } from '../../../src/reconcilers/agent-allow-list.ts';
import type { PodObject } from '../../../src/reconcilers/resources.ts';

const node = {
  nodeName: 'edge-1',
  kubeletPort: 10250,
  nodeAddresses: ['192.168.1.7', '10.8.0.2'],
  podCIDRs: ['10.244.1.0/24'],
};
const pod = (spec: PodObject['spec'], status: PodObject['status'] = {}): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'd' },
  spec: { ...spec },
  status: { ...status },
});

const podTargets = (object: PodObject, hasOwnAddresses = true) =>
  readPod(object, { hasOwnAddresses });

describe('podTargets', () => {
  it('are the TCP ports of a hostNetwork pod, sidecars included', () => {
    const spec = {
      hostNetwork: true,
      containers: [
        { ports: [{ containerPort: 9100 }, { containerPort: 53, protocol: 'UDP' }] },
        { ports: [{ containerPort: 80, hostPort: 8080, protocol: 'TCP' }] },
        {},
      ],
      initContainers: [{ ports: [{ containerPort: 9100 }, { containerPort: 9443 }] }],
    };
    expect(podTargets(pod(spec))).toEqual({ ports: [9100, 80, 8080, 9443], address: undefined });
  });

  it('are nothing of a hostNetwork pod without ports, and of a pod that has ended', () => {
    expect(podTargets(pod({ hostNetwork: true, containers: [{}] }))).toBeUndefined();
    const spec = { hostNetwork: true, containers: [{ ports: [{ containerPort: 1 }] }] };
    expect(podTargets(pod(spec, { phase: 'Succeeded' }))).toBeUndefined();
    expect(podTargets(pod(spec, { phase: 'Failed' }))).toBeUndefined();
  });

  it('are the address of any other pod, and none of its ports', () => {
    const spec = { containers: [{ ports: [{ containerPort: 80, hostPort: 8080 }] }] };
    expect(podTargets(pod(spec))).toBeUndefined();
    expect(podTargets(pod(spec, { podIP: '10.244.1.5' }))).toEqual({
      ports: [],
      address: '10.244.1.5',
    });
  });

  it('are no address where the pod network has none but the pod CIDRs', () => {
    expect(podTargets(pod({ containers: [{}] }, { podIP: '192.168.1.1' }), false)).toBeUndefined();
  });
});

describe('selectTargets', () => {
  it("gives hostNetwork ports on each of the node's addresses, and endpoints on these only", () => {
    const targets = selectTargets(node, {
      pods: [{ ports: [9100], address: undefined }],
      slices: [['192.168.1.7:4443', '192.168.1.99:4443', '10.244.1.5:8080']],
    });
    expect([...targets.hostPorts]).toEqual([
      '192.168.1.7:9100',
      '10.8.0.2:9100',
      '192.168.1.7:4443',
    ]);
  });

  it('names pods outside of its pod networks one by one', () => {
    const addresses = ['10.244.1.5', '10.5.0.9', 'fd00::1'];
    const pods = addresses.map((address) => ({ ports: [], address }));
    expect([...selectTargets(node, { pods, slices: [] }).podAddresses]).toEqual(['10.5.0.9']);
  });

  it('is bounded', () => {
    const ports = Array.from({ length: 10_000 }, (_, i) => i + 1);
    const { hostPorts } = selectTargets(node, {
      pods: [{ ports, address: undefined }],
      slices: [],
    });
    expect(hostPorts.size).toBe(4096);
  });
});
