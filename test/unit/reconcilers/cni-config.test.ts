import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import {
  type CniHost,
  createCniConfig,
  parsePodCIDR,
  renderCniConfig,
  restorePodBridge,
} from '../../../src/reconcilers/cni-config.ts';
import { parseLinkState, planPodBridge } from '../../../src/reconcilers/pod-bridge.ts';
import type { NodeObject } from '../../../src/reconcilers/resources.ts';

const node: NodeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'edge-1' } };
const withCIDR: NodeObject = { ...node, spec: { podCIDR: '10.244.0.0/24' } };
const wanted = { podCIDR: '10.244.0.0/24', mtu: 1500 };
const complete = {
  macAddress: '0a:58:0a:f4:00:01',
  mtu: 1500,
  isUp: true,
  addresses: ['10.244.0.1/24'],
};

/** A host that remembers what was done to it, in order. */
function fakeHost(files: Record<string, string>, links = '[]'): CniHost & { done: string[] } {
  const done: string[] = [];
  return {
    done,
    readFile: async (file) => files[file],
    writeFile: async (file, content) => {
      files[file] = content;
      done.push(`write ${file}`);
    },
    run: async (command, args) => {
      if (args.includes('-json')) return links;
      done.push([command, ...args].join(' '));
      return '';
    },
    mtu: async () => 1500,
  };
}

describe('the CNI configuration', () => {
  it('has the bytes that kube-router 2.10.0 writes back (checked against its own code)', () => {
    expect(renderCniConfig('10.244.0.0/24', 1500)).toBe(
      '{"cniVersion":"1.0.0","name":"kubernetes","plugins":[{"bridge":"kube-bridge","hairpinMode":true,"ipam":{"ranges":[[{"subnet":"10.244.0.0/24"}]],"type":"host-local"},"isDefaultGateway":true,"mtu":1500,"type":"bridge"},{"capabilities":{"portMappings":true},"type":"portmap"}]}',
    );
  });

  it('tells its pod network again', () => {
    expect(parsePodCIDR(renderCniConfig('10.9.0.0/24', 1500))).toBe('10.9.0.0/24');
    for (const other of [undefined, '', '{', 'null', '{"plugins":[{}]}', '[]']) {
      expect(parsePodCIDR(other)).toBeUndefined();
    }
  });

  it('is written once, complete, after the bridge', async () => {
    const files: Record<string, string> = {};
    const host = fakeHost(files);
    const observer = createCniConfig({ configFile: '/c', host, logger: silentLogger });
    const { signal } = new AbortController();
    await observer.reconcile(undefined, signal);
    await observer.reconcile(node, signal);
    expect(host.done).toEqual([]);
    await observer.reconcile(withCIDR, signal);
    expect(host.done).toEqual([
      'ip link add name kube-bridge address 0a:58:0a:f4:00:01 type bridge',
      'ip link set dev kube-bridge mtu 1500',
      'ip address add 10.244.0.1/24 dev kube-bridge',
      'ip link set dev kube-bridge up',
      'write /c',
    ]);
    expect(parsePodCIDR(files['/c'])).toBe('10.244.0.0/24');
    host.done.length = 0;
    await observer.reconcile(withCIDR, signal);
    expect(host.done).not.toContain('write /c');
  });

  it('brings the bridge back from its own file only', async () => {
    const empty = fakeHost({ '/c': '{"plugins":[{"type":"ptp"}]}' });
    await restorePodBridge({ configFile: '/c', host: empty });
    expect(empty.done).toEqual([]);
    const host = fakeHost({ '/c': renderCniConfig('10.244.0.0/24', 1400) });
    await restorePodBridge({ configFile: '/c', host });
    expect(host.done).toHaveLength(4);
  });
});

describe('planPodBridge', () => {
  it('has nothing to do on a complete bridge', () => {
    expect(planPodBridge(wanted, complete)).toEqual([]);
  });

  it('mends an incomplete one', () => {
    const state = {
      macAddress: '62:11:22:33:44:55',
      mtu: 1400,
      isUp: false,
      addresses: ['10.244.7.1/24'],
    };
    expect(planPodBridge(wanted, state).map((args) => args.join(' '))).toEqual([
      'link set dev kube-bridge address 0a:58:0a:f4:00:01',
      'link set dev kube-bridge mtu 1500',
      'address del 10.244.7.1/24 dev kube-bridge',
      'address add 10.244.0.1/24 dev kube-bridge',
      'link set dev kube-bridge up',
    ]);
  });

  it.each(['fd00::/64', '10.244.0.0/30', 'nonsense'])('refuses %s', (podCIDR) => {
    expect(() => planPodBridge({ podCIDR, mtu: 1500 }, undefined)).toThrow(podCIDR);
  });
});

it('parseLinkState finds the bridge among the links', () => {
  const bridge = {
    ifname: 'kube-bridge',
    flags: ['BROADCAST', 'UP'],
    mtu: 1500,
    address: '0a:58:0a:f4:00:01',
    addr_info: [
      { family: 'inet', local: '10.244.0.1', prefixlen: 24 },
      { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
    ],
  };
  expect(parseLinkState(JSON.stringify([{ ifname: 'lo' }, {}, bridge]))).toEqual(complete);
  expect(parseLinkState('[{"ifname":"lo"}]')).toBeUndefined();
  expect(parseLinkState('')).toBeUndefined();
});
