import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cidrContains, parseCidr, parseIpv4 } from '../../../src/base/ip.ts';
import { type AgentAllowList, checkAllowed } from '../../../src/tunnel/agent-allow-list.ts';

const list: AgentAllowList = {
  nodeName: 'edge-1',
  kubeletPort: 10250,
  podCIDRs: ['10.244.3.0/24'],
  nodeAddresses: ['192.168.1.7', '10.0.0.4'],
  hostPorts: new Set(['192.168.1.7:9100', '10.0.0.4:4443', '127.0.0.1:2379', '169.254.1.1:80']),
  podAddresses: new Set(['172.20.0.9', '10.0.0.4', '10.244.3.1', '127.0.0.1', '169.254.169.254']),
};
const check = (host: string, port: number) => checkAllowed(list, { host, port });

describe('checkAllowed', () => {
  it.each([
    ['edge-1', 10250, '127.0.0.1', 'kubelet of node edge-1'],
    ['edge-1', 9100, '192.168.1.7', 'hostNetwork endpoint 192.168.1.7:9100'],
    ['edge-1', 4443, '10.0.0.4', 'hostNetwork endpoint 10.0.0.4:4443'],
    ['192.168.1.7', 9100, '192.168.1.7', 'hostNetwork endpoint 192.168.1.7:9100'],
    ['10.244.3.2', 1, '10.244.3.2', 'pod 10.244.3.2:1'],
    ['10.244.3.254', 8443, '10.244.3.254', 'pod 10.244.3.254:8443'],
    ['172.20.0.9', 8443, '172.20.0.9', 'pod 172.20.0.9:8443'],
  ])('dials %s:%i', (host, port, address, subject) => {
    expect(check(host, port)).toEqual({ type: 'dial', address, port, subject });
  });

  it.each([
    ['edge-2', 10250, 'this is the agent of node edge-1, not of edge-2'],
    ['localhost', 10250, 'this is the agent of node edge-1, not of localhost'],
    [
      'edge-1',
      22,
      'port 22 of node edge-1 is neither its kubelet (10250) nor an endpoint of a hostNetwork pod',
    ],
    ['edge-1', 2379, 'port 2379 of node edge-1 is neither its kubelet'],
    ['edge-1', 10248, 'port 10248 of node edge-1 is neither its kubelet'],
    ['127.0.0.1', 10250, '127.0.0.1:10250 is a loopback address, never a target'],
    ['127.0.0.1', 2379, '127.0.0.1:2379 is a loopback address, never a target'],
    ['169.254.169.254', 80, '169.254.169.254:80 is a link-local address, never a target'],
    ['169.254.1.1', 80, '169.254.1.1:80 is a link-local address, never a target'],
    ['224.0.0.251', 5353, '224.0.0.251:5353 is a multicast or reserved address'],
    ['255.255.255.255', 1, '255.255.255.255:1 is a multicast or reserved address'],
    ['0.0.0.0', 10250, '0.0.0.0:10250 is no address of a host'],
    ['192.168.1.7', 10250, '192.168.1.7:10250 is no endpoint of a hostNetwork pod of node edge-1'],
    ['192.168.1.7', 4443, '192.168.1.7:4443 is no endpoint'],
    ['192.168.1.1', 80, '192.168.1.1:80 is not on node edge-1'],
    ['172.20.0.10', 8443, '172.20.0.10:8443 is not on node edge-1'],
    ['10.0.0.4', 22, '10.0.0.4:22 is no endpoint of a hostNetwork pod'],
    ['10.244.3.0', 80, "10.244.3.0:80 is the pod network's own address"],
    ['10.244.3.1', 22, "10.244.3.1:22 is the pod network's own address"],
    ['10.244.3.255', 80, "10.244.3.255:80 is the pod network's own address"],
    ['10.244.4.5', 80, '10.244.4.5:80 is not on node edge-1'],
    ['fd00::1', 10250, '[fd00::1]:10250: IPv6 targets are not supported yet'],
    ['::1', 10250, '[::1]:10250: IPv6 targets are not supported yet'],
    ['::ffff:127.0.0.1', 10250, 'IPv6 targets are not supported yet'],
  ])('refuses %s:%i', (host, port, reason) => {
    const decision = check(host, port);
    expect(decision).toMatchObject({ type: 'refuse', status: 403 });
    expect(decision.type === 'refuse' ? decision.reason : '').toContain(reason);
  });

  it('dials nothing but the kubelet on loopback, pods of the node and named endpoints', () => {
    const pods = parseCidr('10.244.3.0/24');
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.constantFrom('edge-1', 'localhost', 'metadata', '127.1')),
        fc.integer({ min: 1, max: 65_535 }),
        (host, port) => {
          const decision = check(host, port);
          if (decision.type !== 'dial') return true;
          if (decision.address === '127.0.0.1') return decision.port === 10250 && host === 'edge-1';
          const address = parseIpv4(decision.address) ?? 0;
          if (pods !== undefined && cidrContains(pods, address)) return true;
          if (decision.address === '172.20.0.9') return true;
          return list.hostPorts.has(`${decision.address}:${decision.port}`);
        },
      ),
    );
  });
});
