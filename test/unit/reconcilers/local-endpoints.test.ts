import { expect, it } from 'vitest';
import { endpointsOnNode, selectHostEndpoints } from '../../../src/reconcilers/local-endpoints.ts';
import type { EndpointSliceObject } from '../../../src/reconcilers/resources.ts';

const slice: EndpointSliceObject = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 's', namespace: 'd' },
  addressType: 'IPv4',
  ports: [{ port: 4443, protocol: 'TCP' }, { port: 53, protocol: 'UDP' }, { port: 9100 }, {}],
  endpoints: [
    { addresses: ['10.0.0.4'], nodeName: 'edge-1' },
    { addresses: ['10.244.0.5'], nodeName: 'edge-1' },
    { addresses: ['10.0.0.4'], nodeName: 'edge-2' },
    { addresses: ['10.0.0.4'] },
  ],
};

it('keeps TCP endpoints that name the node', () => {
  expect(endpointsOnNode(slice, 'edge-1')).toEqual([
    '10.0.0.4:4443',
    '10.0.0.4:9100',
    '10.244.0.5:4443',
    '10.244.0.5:9100',
  ]);
  expect(endpointsOnNode({ ...slice, addressType: 'IPv6' }, 'edge-1')).toEqual([]);
  expect(endpointsOnNode({ ...slice, endpoints: null, ports: null }, 'edge-1')).toEqual([]);
});

it("selects those on the node's own addresses, in bounded number", () => {
  const known = endpointsOnNode(slice, 'edge-1');
  expect([...selectHostEndpoints([known], ['10.0.0.4'])]).toEqual([
    '10.0.0.4:4443',
    '10.0.0.4:9100',
  ]);
  expect(selectHostEndpoints([known], []).size).toBe(0);
  const many = Array.from({ length: 10_000 }, (_, port) => `10.0.0.4:${port}`);
  expect(selectHostEndpoints([many], ['10.0.0.4']).size).toBe(4096);
});
