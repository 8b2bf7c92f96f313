import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseIpv4 } from '../../../src/base/ip.ts';
import {
  type ClusterRoutes,
  type ClusterRoutesOptions,
  createClusterRoutes,
} from '../../../src/tunnel/route-cluster.ts';
import type { ClusterNode } from '../../../src/tunnel/route-cluster-index.ts';

const options: ClusterRoutesOptions = {
  localNode: { name: 'box', kubeletPort: 10250 },
  podCIDR: '10.244.0.0/16',
  serviceCIDR: '10.96.0.0/12',
};

function node(name: string, change: Partial<ClusterNode> = {}): ClusterNode {
  return { name, hostname: name, addresses: [], podCIDRs: [], kubeletPort: 10250, ...change };
}

/** Two sites with one private network: edge-a and edge-b have the same address; edge-c has one of its own. */
const nodes = [
  node('box', { addresses: ['10.0.0.4'], podCIDRs: ['10.244.0.0/24'] }),
  node('edge-a', { addresses: ['192.168.1.7'], podCIDRs: ['10.244.1.0/24'] }),
  node('edge-b', { addresses: ['192.168.1.7'], podCIDRs: ['10.244.2.0/24'] }),
  node('edge-c', { addresses: ['192.168.1.8'], podCIDRs: ['10.244.3.0/24'], kubeletPort: 10255 }),
  node('liar', { hostname: 'edge-a', addresses: ['192.168.1.9'] }),
  node('renamed', { hostname: 'old-name', addresses: ['192.168.1.10'] }),
];

function endpoint(address: string, port: number, nodeName: string) {
  return { address, port, nodeName };
}

let table: ClusterRoutes;

beforeEach(() => {
  table = createClusterRoutes(options);
  table.replaceNodes(nodes);
  table.setSlice('default/webhook', [
    endpoint('192.168.1.7', 9443, 'edge-b'),
    endpoint('10.0.0.4', 4443, 'box'),
    endpoint('10.0.0.99', 4443, 'box'),
    endpoint('192.168.1.8', 9100, 'edge-c'),
    endpoint('192.168.1.8', 9200, 'gone'),
    endpoint('10.1.2.3', 8080, 'edge-a'),
    endpoint('10.244.1.5', 8080, 'edge-b'),
  ]);
  table.setSlice('default/twice', [
    endpoint('192.168.1.7', 5000, 'edge-a'),
    endpoint('192.168.1.7', 5000, 'edge-b'),
  ]);
});

describe('a target on the local node', () => {
  it.each([
    ['box', 10250, '127.0.0.1', 'kubelet of node box', 'node-name'],
    ['box', 4443, '10.0.0.4', 'hostNetwork endpoint 10.0.0.4:4443', 'node-name'],
    ['10.0.0.4', 10250, '127.0.0.1', 'kubelet of node box', 'node-address'],
    ['10.0.0.4', 4443, '10.0.0.4', 'endpoint 10.0.0.4:4443', 'endpoint'],
    ['10.244.0.5', 8080, '10.244.0.5', 'pod 10.244.0.5:8080', 'pod-cidr'],
  ])('%s:%i is dialled', (host, port, address, subject, rule) => {
    expect(table.route(host, port)).toEqual({ type: 'dial', address, port, subject, rule });
  });
});

describe('a target on another node', () => {
  it.each([
    ['edge-a', 10250, 'edge-a', 'edge-a', 'kubelet of node edge-a', 'node-name'],
    ['edge-b', 10250, 'edge-b', 'edge-b', 'kubelet of node edge-b', 'node-name'],
    ['edge-c', 10255, 'edge-c', 'edge-c', 'kubelet of node edge-c', 'node-name'],
    [
      ...['edge-c', 9100, 'edge-c', '192.168.1.8'],
      ...['hostNetwork endpoint 192.168.1.8:9100 of node edge-c', 'node-name'],
    ],
    [
      ...['10.244.1.5', 8080, 'edge-a', '10.244.1.5'],
      ...['pod 10.244.1.5:8080 of node edge-a', 'pod-cidr'],
    ],
    [
      ...['192.168.1.7', 9443, 'edge-b', '192.168.1.7'],
      ...['endpoint 192.168.1.7:9443 of node edge-b', 'endpoint'],
    ],
    [
      ...['10.1.2.3', 8080, 'edge-a', '10.1.2.3'],
      ...['endpoint 10.1.2.3:8080 of node edge-a', 'endpoint'],
    ],
    ['192.168.1.8', 10255, 'edge-c', 'edge-c', 'kubelet of node edge-c', 'node-address'],
  ])('%s:%i goes through its agent', (host, port, nodeName, asked, subject, rule) => {
    const place = { nodeName, host: asked, port, subject, rule };
    expect(table.route(String(host), Number(port))).toEqual({ type: 'agent', ...place });
  });
});

describe('a target is refused', () => {
  it.each([
    ['edge-x', 10250, 503, 'no node named edge-x'],
    ['localhost', 10250, 503, 'no node named localhost'],
    ['liar', 10250, 503, 'node liar reports the host name edge-a: requests for it would go to'],
    ['renamed', 10250, 503, 'node renamed reports the host name old-name: requests for it'],
    ['old-name', 10250, 503, 'node renamed reports the host name old-name: requests for it'],
    ['box', 22, 403, 'port 22 of node box is neither its kubelet (10250) nor an endpoint'],
    ['edge-c', 10250, 403, 'port 10250 of node edge-c is neither its kubelet (10255) nor an'],
    ['edge-a', 9443, 403, 'port 9443 of node edge-a is neither'],
    ['192.168.1.7', 10250, 503, 'ambiguous node address 192.168.1.7: nodes edge-a, edge-b have it'],
    ['192.168.1.7', 22, 403, '192.168.1.7:22 is not a pod, node or endpoint of this cluster'],
    ['192.168.1.7', 5000, 503, 'ambiguous endpoint 192.168.1.7:5000: nodes edge-a, edge-b have it'],
    ['192.168.1.8', 9200, 503, 'endpoint 192.168.1.8:9200 is on node gone, which is not there'],
    ['10.0.0.99', 4443, 403, '10.0.0.99:4443 is not a pod, node or endpoint of this cluster'],
    ['10.244.9.5', 80, 403, '10.244.9.5:80 is not a pod, node or endpoint of this cluster'],
    ['10.244.0.1', 80, 403, "10.244.0.1:80 is the pod network's own address, not a pod"],
    ['10.244.1.255', 80, 403, "10.244.1.255:80 is the pod network's own address, not a pod"],
    ['10.96.0.10', 53, 503, "10.96.0.10:53 is a Service's address: the tunnel reaches endpoints"],
    ['8.8.8.8', 443, 403, '8.8.8.8:443 is not a pod, node or endpoint of this cluster'],
    ['127.0.0.1', 10250, 403, '127.0.0.1:10250 is a loopback address, never a target'],
    ['169.254.169.254', 80, 403, '169.254.169.254:80 is a link-local address, never a target'],
    ['0.0.0.0', 80, 403, '0.0.0.0:80 is no address of a host, never a target'],
    ['224.0.0.1', 80, 403, '224.0.0.1:80 is a multicast or reserved address, never a target'],
    ['fd00::1', 10250, 403, '[fd00::1]:10250: IPv6 targets are not supported yet'],
    ['::ffff:127.0.0.1', 10250, 403, 'IPv6 targets are not supported yet'],
  ])('%s:%i', (host, port, status, reason) => {
    const decision = table.route(host, port);
    expect(decision).toMatchObject({ type: 'refuse', status });
    expect(decision).toHaveProperty('reason', expect.stringContaining(reason));
  });
});

describe('what is known', () => {
  it('is the local kubelet by name before anything was read', () => {
    const fresh = createClusterRoutes(options);
    expect(fresh.route('box', 10250)).toMatchObject({ type: 'dial', address: '127.0.0.1' });
    const reason = 'this controller has not read the nodes yet';
    for (const host of ['edge-a', '10.244.1.5']) {
      expect(fresh.route(host, 10250)).toMatchObject({ type: 'refuse', status: 503, reason });
    }
  });

  it('is nothing local on a controller without workloads', () => {
    const bare = createClusterRoutes({ ...options, localNode: undefined });
    bare.replaceNodes(nodes);
    expect(bare.route('box', 10250)).toMatchObject({ type: 'agent', nodeName: 'box' });
    expect(bare.route('10.244.0.5', 80)).toMatchObject({ type: 'agent', nodeName: 'box' });
  });

  it('follows a node that changes, leaves and is replaced', () => {
    table.setNode(node('edge-b', { addresses: ['192.168.1.77'], podCIDRs: ['10.244.9.0/24'] }));
    expect(table.route('192.168.1.7', 10250)).toMatchObject({ nodeName: 'edge-a' });
    expect(table.route('10.244.2.5', 80)).toMatchObject({ type: 'refuse', status: 403 });
    expect(table.route('10.244.9.5', 80)).toMatchObject({ nodeName: 'edge-b' });
    table.deleteNode('edge-a');
    expect(table.hasNode('edge-a')).toBe(false);
    expect(table.route('edge-a', 10250)).toMatchObject({
      reason: 'node liar reports the host name edge-a: requests for it would go to the wrong node',
    });
    expect(table.route('192.168.1.7', 10250)).toMatchObject({ type: 'refuse', status: 403 });
    table.replaceNodes([node('edge-z')]);
    expect(table.route('edge-b', 10250)).toMatchObject({ reason: 'no node named edge-b' });
    expect(table.route('edge-z', 10250)).toMatchObject({ nodeName: 'edge-z' });
    expect(table.route('box', 10250)).toMatchObject({ type: 'dial' });
    expect(table.route('10.244.0.5', 80)).toMatchObject({ type: 'refuse' });
  });

  it("keeps the configured port of the local kubelet, whatever its node's status says", () => {
    table.setNode(node('box', { kubeletPort: 22 }));
    expect(table.route('box', 22)).toMatchObject({ type: 'refuse' });
    expect(table.route('box', 10250)).toMatchObject({ type: 'dial', port: 10250 });
  });

  it('follows slices that change and leave', () => {
    table.setSlice('default/webhook', [endpoint('192.168.1.7', 9444, 'edge-b')]);
    expect(table.route('192.168.1.7', 9443)).toMatchObject({ type: 'refuse' });
    expect(table.route('192.168.1.7', 9444)).toMatchObject({ nodeName: 'edge-b' });
    table.setSlice('other/same', [endpoint('192.168.1.7', 9444, 'edge-b')]);
    table.deleteSlice('default/webhook');
    expect(table.route('192.168.1.7', 9444)).toMatchObject({ nodeName: 'edge-b' });
    table.retainSlices(new Set(['default/twice']));
    expect(table.route('192.168.1.7', 9444)).toMatchObject({ type: 'refuse' });
    expect(table.size()).toEqual({ nodes: nodes.length, endpoints: 2 });
  });

  it('is an endpoint of the one node that is left of two', () => {
    table.deleteNode('edge-a');
    expect(table.route('192.168.1.7', 5000)).toMatchObject({ nodeName: 'edge-b' });
  });
});

describe('what a node claims', () => {
  it('is refused when another has it too, however specific', () => {
    table.setNode(node('evil', { podCIDRs: ['10.244.1.4/30'], addresses: ['10.0.0.4'] }));
    const reason =
      'ambiguous pod address 10.244.1.6: it is in the pod networks of nodes edge-a, evil';
    expect(table.route('10.244.1.6', 80)).toMatchObject({ type: 'refuse', status: 503, reason });
    expect(table.route('10.244.1.9', 80)).toMatchObject({ type: 'agent', nodeName: 'edge-a' });
    expect(table.route('10.0.0.4', 10250)).toMatchObject({ type: 'refuse', status: 503 });
    expect(table.route('box', 10250)).toMatchObject({ type: 'dial' });
  });

  it("counts for nothing outside of the cluster's pod network", () => {
    const podCIDRs = ['0.0.0.0/0', '10.0.0.0/8', '192.168.0.0/16', 'nonsense'];
    table.setNode(node('evil', { podCIDRs }));
    expect(table.route('8.8.8.8', 443)).toMatchObject({ type: 'refuse', status: 403 });
    expect(table.route('10.244.1.6', 80)).toMatchObject({ nodeName: 'edge-a' });
    expect(table.route('192.168.1.8', 10255)).toMatchObject({ nodeName: 'edge-c' });
  });
});

describe('memory', () => {
  it('is not spent on endpoints of pods, whichever came first', () => {
    const before = table.size().endpoints;
    for (let i = 0; i < 5_000; i += 1) {
      const address = `10.244.${1 + (i % 3)}.${2 + (i % 250)}`;
      table.setSlice(`default/s-${i}`, [endpoint(address, 8080, 'edge-a')]);
    }
    expect(table.size().endpoints).toBe(before);
    table.setSlice('default/early', [endpoint('10.244.7.9', 8080, 'edge-z')]);
    expect(table.size().endpoints).toBe(before + 1);
    table.setNode(node('edge-z', { podCIDRs: ['10.244.7.0/24'] }));
    expect(table.size().endpoints).toBe(before);
  });

  it('has an end, whatever the API holds', () => {
    for (let i = 0; i < 300; i += 1) {
      const many = Array.from({ length: 100 }, (_, port) =>
        endpoint(`172.20.1.${i % 250}`, port + 1, `n-${i}`),
      );
      table.setSlice(`default/s-${i}`, many);
    }
    expect(table.size().endpoints).toBe(16_384);
    table.retainSlices(new Set());
    expect(table.size().endpoints).toBe(0);
  });
});

describe('an address that nothing explains', () => {
  const asked: string[] = [];
  const withPods = (pods: Record<string, readonly string[]>) => {
    const found = createClusterRoutes({
      ...options,
      findPodNodes: async (address) => {
        asked.push(address);
        const names = pods[address];
        if (names === undefined) throw new Error('the API is away');
        return names;
      },
    });
    found.replaceNodes(nodes);
    return found;
  };

  it.each([
    [['edge-b'], { type: 'agent', nodeName: 'edge-b', host: '10.5.0.9', rule: 'pod-address' }],
    [['box'], { type: 'dial', address: '10.5.0.9', port: 80 }],
    [[], { type: 'refuse', status: 403 }],
    [['never-heard-of'], { type: 'refuse', status: 403 }],
    [
      ['edge-a', 'edge-b'],
      {
        status: 503,
        reason: 'ambiguous pod address 10.5.0.9: nodes edge-a, edge-b have a pod there',
      },
    ],
  ])('is asked for, and is on %j', async (names, expected) => {
    expect(await withPods({ '10.5.0.9': names }).route('10.5.0.9', 80)).toMatchObject(expected);
  });

  it('is refused with the reason when the API does not answer', async () => {
    expect(await withPods({}).route('10.5.0.9', 80)).toMatchObject({
      status: 503,
      reason: 'cannot ask the API which node has 10.5.0.9: the API is away',
    });
  });

  it('is the only one that is asked for', () => {
    asked.length = 0;
    const found = withPods({});
    for (const host of [
      'edge-a',
      'nobody',
      '10.244.1.5',
      '192.168.1.7',
      '10.96.0.1',
      '127.0.0.1',
    ]) {
      expect(found.route(host, 10250)).not.toBeInstanceOf(Promise);
    }
    expect(asked).toEqual([]);
  });
});

it('never dials anything but the local kubelet, pods of the local network and own endpoints', () => {
  const last = fc.integer({ min: 0, max: 255 });
  const address = fc.oneof(
    fc.ipV4(),
    fc.constantFrom('127.0.0.1', '10.0.0.4', '169.254.169.254', '192.168.1.7', '10.96.0.1'),
    fc.tuple(last, last).map(([a, b]) => `10.244.${a % 4}.${b}`),
  );
  const name = fc.constantFrom('box', 'edge-a', 'edge-b', 'evil');
  const port = fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom(10250, 4443, 2379));
  const claims = fc.array(
    fc.record({
      name,
      hostname: fc.oneof(name, fc.constant(undefined)),
      addresses: fc.array(address, { maxLength: 3 }),
      podCIDRs: fc.subarray(['10.244.0.0/24', '10.244.1.0/24', '127.0.0.0/8', '0.0.0.0/0', 'x']),
      kubeletPort: port,
    }),
    { maxLength: 4 },
  );
  const endpoints = fc.array(fc.record({ address, port, nodeName: name }), { maxLength: 6 });
  fc.assert(
    fc.property(claims, endpoints, fc.oneof(address, name), port, (known, slice, host, target) => {
      const fresh = createClusterRoutes(options);
      fresh.replaceNodes(known);
      fresh.setSlice('a/b', slice);
      const decision = fresh.route(host, target);
      if (decision instanceof Promise) throw new Error('nothing to ask');
      if (decision.type === 'refuse') return;
      expect(decision.port).toBe(target);
      if (decision.type === 'agent') {
        expect(decision.nodeName).not.toBe('box');
        expect(decision.host === decision.nodeName || parseIpv4(decision.host) !== undefined).toBe(
          true,
        );
        return;
      }
      if (decision.address === '127.0.0.1') {
        expect(decision.port).toBe(10250);
        expect(host).not.toBe('127.0.0.1');
        return;
      }
      expect(decision.address).not.toMatch(/^(127\.|169\.254\.|0\.)/);
      const own = known.findLast((entry) => entry.name === 'box');
      const isOwn = own?.addresses.includes(decision.address) === true;
      expect(isOwn || decision.address.startsWith('10.244.')).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
