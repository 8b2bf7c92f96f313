import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cidrContains, parseCidr, parseIpv4 } from '../../../src/base/ip.ts';
import {
  createLocalRoutingTable,
  type LocalRoutes,
  routeLocal,
} from '../../../src/tunnel/route-local.ts';

const routes: LocalRoutes = {
  nodeName: 'edge-1',
  kubeletPort: 10250,
  nodeAddresses: ['10.0.0.4', '192.168.7.2'],
  podCIDRs: ['10.244.0.0/24'],
  hostEndpoints: new Set(['10.0.0.4:4443', '192.168.7.2:9100']),
};
const kubelet = {
  type: 'dial',
  address: '127.0.0.1',
  port: 10250,
  subject: 'kubelet of node edge-1',
};

describe('routeLocal', () => {
  it.each([
    ['edge-1', 10250, kubelet],
    ['10.0.0.4', 10250, kubelet],
    ['192.168.7.2', 10250, kubelet],
    [
      'edge-1',
      9100,
      { address: '192.168.7.2', port: 9100, subject: 'hostNetwork endpoint 192.168.7.2:9100' },
    ],
    [
      '10.0.0.4',
      4443,
      { address: '10.0.0.4', port: 4443, subject: 'hostNetwork endpoint 10.0.0.4:4443' },
    ],
    ['10.244.0.5', 8080, { address: '10.244.0.5', port: 8080, subject: 'pod 10.244.0.5:8080' }],
  ])('dials %s:%i', (host, port, expected) => {
    expect(routeLocal(routes, { host, port })).toMatchObject({ type: 'dial', ...expected });
  });

  it.each([
    ['edge-7', 10250, 503, 'node edge-7 has no tunnel'],
    ['localhost', 10250, 503, 'node localhost has no tunnel'],
    [
      'edge-1',
      22,
      403,
      'port 22 of node edge-1 is neither its kubelet (10250) nor an endpoint of a hostNetwork pod',
    ],
    ['10.0.0.4', 22, 403, '10.0.0.4:22 is not a pod, node or endpoint of this cluster'],
    ['192.168.7.2', 4443, 403, '192.168.7.2:4443 is not a pod, node or endpoint of this cluster'],
    ['10.0.0.9', 10250, 403, '10.0.0.9:10250 is not a pod, node or endpoint of this cluster'],
    ['10.96.0.10', 53, 403, '10.96.0.10:53 is not a pod, node or endpoint of this cluster'],
    ['10.244.0.1', 22, 403, "10.244.0.1:22 is the pod network's own address, not a pod"],
    ['10.244.0.255', 22, 403, "10.244.0.255:22 is the pod network's own address, not a pod"],
    ['10.244.1.5', 80, 403, '10.244.1.5:80 is not a pod, node or endpoint of this cluster'],
    ['127.0.0.1', 10250, 403, '127.0.0.1:10250 is a loopback address, never a target'],
    ['169.254.169.254', 80, 403, '169.254.169.254:80 is a link-local address, never a target'],
    ['0.0.0.0', 10250, 403, '0.0.0.0:10250 is no address of a host, never a target'],
    ['fd00::1', 10250, 403, '[fd00::1]:10250: IPv6 targets are not supported yet'],
  ])('refuses %s:%i', (host, port, status, reason) => {
    expect(routeLocal(routes, { host, port })).toEqual({ type: 'refuse', status, reason });
  });

  it('knows the node name and its kubelet before anything else is known', () => {
    const table = createLocalRoutingTable({
      ...routes,
      nodeAddresses: [],
      podCIDRs: [],
      hostEndpoints: new Set(),
    });
    expect(table.route('edge-1', 10250)).toEqual(kubelet);
    expect(table.route('10.244.0.5', 80)).toMatchObject({ type: 'refuse' });
    table.update(routes);
    expect(table.route('10.244.0.5', 80)).toMatchObject({ type: 'dial' });
  });

  it('dials loopback for the kubelet only, and nothing that the API did not name', () => {
    const address = fc.oneof(
      fc.ipV4(),
      fc.constantFrom('127.0.0.1', '10.0.0.4', '10.244.0.1', '169.254.1.1'),
      fc.integer({ min: 0, max: 255 }).map((last) => `10.244.0.${last}`),
    );
    const port = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom(10250, 4443, 2379));
    const crafted = fc.record({
      nodeAddresses: fc.array(address, { maxLength: 4 }),
      podCIDRs: fc.subarray([
        '10.244.0.0/24',
        '127.0.0.0/8',
        '169.254.0.0/16',
        'nonsense',
        '0.0.0.0/0',
      ]),
      hostEndpoints: fc
        .array(
          fc.tuple(address, port).map(([a, p]) => `${a}:${p}`),
          { maxLength: 6 },
        )
        .map((entries) => new Set(entries)),
    });
    const host = fc.oneof(
      address,
      fc.constantFrom('edge-1', 'localhost', '::1', '::ffff:127.0.0.1'),
    );
    fc.assert(
      fc.property(crafted, host, port, (known, name, number) => {
        const decision = routeLocal({ ...routes, ...known }, { host: name, port: number });
        if (decision.type !== 'dial') return;
        const value = parseIpv4(decision.address);
        expect(value).toBeDefined();
        if (decision.address === '127.0.0.1') {
          expect(decision.port).toBe(10250);
          expect(name === 'edge-1' || known.nodeAddresses.includes(name)).toBe(true);
          expect(name.startsWith('127.')).toBe(false);
          return;
        }
        expect(decision.address).not.toMatch(/^(127\.|169\.254\.|0\.)/);
        expect(decision.port).toBe(number);
        const isPod = known.podCIDRs.some((text) => {
          const cidr = parseCidr(text);
          return cidr !== undefined && cidrContains(cidr, value ?? 0);
        });
        expect(isPod || known.hostEndpoints.has(`${decision.address}:${decision.port}`)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
