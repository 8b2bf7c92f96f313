import { describe, expect, it } from 'vitest';
import {
  changedFields,
  immutablePart,
  notesOn,
  refusedChanges,
  refusedStart,
} from '../../../src/config/config-changes.ts';
import { parseConfig } from '../../../src/config/parse.ts';

const config = (spec: object) => parseConfig(JSON.stringify({ spec }), 'test');

describe('refusedChanges', () => {
  it.each([
    { kubelet: { maxPods: 20 } },
    { extraArgs: { 'kube-apiserver': { 'event-ttl': '1h' } } },
    { registries: { 'docker.io': { mirrors: [{ url: 'https://mirror.example' }] } } },
    { api: { sans: ['a.example'] } },
    { node: { labels: { a: 'b' } }, hardening: 'cis' },
    { addons: { coredns: { enabled: false } } },
  ])('takes over %j', async (spec) => {
    expect(refusedChanges(await config({}), await config(spec))).toEqual([]);
  });

  it('refuses what a cluster keeps for life, with the reason and the way back', async () => {
    const next = await config({
      network: { podCIDR: '10.1.0.0/16', serviceCIDR: '10.2.0.0/16', clusterDomain: 'x.y' },
    });
    const errors = refusedChanges(await config({}), next);
    expect(errors.map(({ message, fix }) => [message, fix])).toEqual([
      [
        'Cannot change spec.network.podCIDR from 10.244.0.0/16 to 10.1.0.0/16: it is fixed when a cluster is made: every node and every pod has its address from it',
        'set it back to 10.244.0.0/16; a cluster with another one is a new cluster',
      ],
      [
        expect.stringContaining('every Service has its address from it'),
        expect.stringContaining('10.96.0.0/12'),
      ],
      [expect.stringContaining('names below it'), expect.stringContaining('cluster.local')],
    ]);
    expect(refusedStart(immutablePart(await config({})), next)).toEqual(errors);
    expect(refusedStart(immutablePart(next), next)).toEqual([]);
  });

  it('refuses what a node reads only when it starts', async () => {
    const errors = refusedChanges(
      await config({}),
      await config({
        api: { port: 8443 },
        node: { name: 'other' },
        addons: { metricsServer: { enabled: false } },
      }),
    );
    expect(errors.map(({ what }) => what)).toEqual([
      'change spec.api.port',
      'change spec.node.name',
      'change spec.addons.metricsServer.enabled',
    ]);
    expect(errors[0]?.fix).toContain('mini-k8s restart');
    const proxy = await config({ proxy: { https: 'http://p:1' } });
    expect(refusedChanges(await config({}), proxy)).toEqual([]);
    const rules = { atStartOnly: ['spec.proxy'] };
    expect(refusedChanges(await config({}), proxy, rules)).toHaveLength(1);
  });

  it('says of a field what it does not do', () => {
    const rules = { notes: { 'spec.node.taints': 'are given at registration' } };
    expect(notesOn(['spec.node.taints', 'spec.api.sans'], rules)).toEqual([
      'spec.node.taints are given at registration',
    ]);
    expect(notesOn(['spec.node.labels.a'], rules)).toEqual([]);
  });

  it('names the fields that differ, and no value', async () => {
    const before = await config({ kubelet: { maxPods: 1 }, api: { sans: ['a'] } });
    const after = await config({ kubelet: { maxPods: 2, podsPerCore: 1 }, api: { sans: ['b'] } });
    expect(changedFields(before, after).map(({ path }) => path)).toEqual([
      'spec.api.sans',
      'spec.kubelet.maxPods',
      'spec.kubelet.podsPerCore',
    ]);
  });
});
