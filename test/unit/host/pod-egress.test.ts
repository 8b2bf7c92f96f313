import { expect, test } from 'vitest';
import { podEgressSettings } from '../../../src/host/pod-egress.ts';

test('what leaves the pod network gets the address of its node, and pods elsewhere are unreachable', () => {
  expect(podEgressSettings({ podCIDR: '10.244.0.0/16' })).toEqual([
    {
      type: 'nft-table',
      name: 'mini_k8s_pods',
      ruleset: `  chain postrouting {
    type nat hook postrouting priority 105; policy accept;
    ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade
  }`,
    },
    { type: 'unreachable-route', destination: '10.244.0.0/16' },
  ]);
});
