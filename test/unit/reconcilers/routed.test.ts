import { describe, expect, it } from 'vitest';
import { podNodesOf } from '../../../src/reconcilers/find-pod-nodes.ts';
import type {
  EndpointSliceObject,
  NodeObject,
  PodObject,
} from '../../../src/reconcilers/resources.ts';
import { routedEndpoints, routedNode } from '../../../src/reconcilers/routed.ts';

const node: NodeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'edge-1' } };

describe('routedNode', () => {
  it('keeps what routing asks for', () => {
    const full: NodeObject = {
      ...node,
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
      status: {
        addresses: [
          { type: 'Hostname', address: 'Edge-1' },
          { type: 'InternalIP', address: '192.168.1.7' },
          { type: 'InternalIP', address: 'fd00::7' },
          { type: 'ExternalIP', address: '203.0.113.7' },
          { type: 'ExternalIP', address: '192.168.1.7' },
        ],
        daemonEndpoints: { kubeletEndpoint: { Port: 10255 } },
      },
    };
    expect(routedNode(full)).toEqual({
      name: 'edge-1',
      hostname: 'edge-1',
      addresses: ['192.168.1.7', '203.0.113.7'],
      podCIDRs: ['10.244.1.0/24'],
      kubeletPort: 10255,
    });
  });

  it('takes the label where there is no Hostname address, as kube-apiserver does', () => {
    const labels = { 'kubernetes.io/hostname': 'other' };
    expect(routedNode({ ...node, metadata: { name: 'edge-1', labels } }).hostname).toBe('other');
    expect(routedNode(node)).toEqual({
      name: 'edge-1',
      hostname: undefined,
      addresses: [],
      podCIDRs: [],
      kubeletPort: 10250,
    });
  });

  it('takes no more addresses than a machine has', () => {
    const addresses = Array.from({ length: 5_000 }, (_, i) => ({
      type: 'InternalIP',
      address: `10.1.${Math.floor(i / 250)}.${i % 250}`,
    }));
    expect(routedNode({ ...node, status: { addresses } }).addresses).toHaveLength(32);
  });
});

describe('routedEndpoints', () => {
  const slice: EndpointSliceObject = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 's', namespace: 'd' },
    addressType: 'IPv4',
    ports: [{ port: 4443, protocol: 'TCP' }, { port: 53, protocol: 'UDP' }, { port: 9100 }, {}],
    endpoints: [
      { addresses: ['10.0.0.4'], nodeName: 'edge-1' },
      { addresses: ['10.0.0.5'], nodeName: 'edge-2' },
      { addresses: ['10.0.0.6'] },
    ],
  };

  it('are TCP, IPv4 and on a node', () => {
    expect(routedEndpoints(slice)).toEqual([
      { address: '10.0.0.4', port: 4443, nodeName: 'edge-1' },
      { address: '10.0.0.4', port: 9100, nodeName: 'edge-1' },
      { address: '10.0.0.5', port: 4443, nodeName: 'edge-2' },
      { address: '10.0.0.5', port: 9100, nodeName: 'edge-2' },
    ]);
    expect(routedEndpoints({ ...slice, addressType: 'IPv6' })).toEqual([]);
    expect(routedEndpoints({ ...slice, endpoints: null, ports: null })).toEqual([]);
  });
});

describe('podNodesOf', () => {
  const pod = (spec: PodObject['spec'], phase = 'Running', podIP = '10.5.0.9'): PodObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'd' },
    spec: { ...spec },
    status: { phase, podIP },
  });

  it('are the nodes of running pods that have the address for themselves', () => {
    const pods = [
      pod({ nodeName: 'edge-1' }),
      pod({ nodeName: 'edge-1' }),
      pod({ nodeName: 'edge-2', hostNetwork: true }),
      pod({ nodeName: 'edge-3' }, 'Succeeded'),
      pod({ nodeName: 'edge-4' }, 'Failed'),
      pod({ nodeName: 'edge-5' }, 'Running', '10.5.0.10'),
      pod({}),
    ];
    expect(podNodesOf(pods, '10.5.0.9')).toEqual(['edge-1']);
  });
});
