import { describe, expect, it } from 'vitest';
import { mainSite, planNodeSite, siteAsn } from '../../../src/reconcilers/node-sites.ts';
import type { NodeObject } from '../../../src/reconcilers/resources.ts';

const behindNat = { name: 'nat-203.0.113.7', isBehindNat: true };
const asn = String(siteAsn(behindNat.name));
const ours = (...labels: string[]) => ({
  managedFields: [
    {
      manager: 'mini-k8s-sites',
      operation: 'Apply',
      fieldsV1: {
        'f:metadata': { 'f:labels': Object.fromEntries(labels.map((key) => [`f:${key}`, {}])) },
      },
    },
  ],
});
const node = (metadata: Partial<NodeObject['metadata']> = {}): NodeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'edge-1', uid: 'u-1', resourceVersion: '7', ...metadata },
});
const zone = 'topology.kubernetes.io/zone';

describe('planNodeSite', () => {
  it('says where a node behind NAT is, for this very Node', () => {
    expect(planNodeSite(node(), behindNat)).toEqual({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: 'edge-1',
        uid: 'u-1',
        resourceVersion: '7',
        labels: {
          'mini-k8s.io/site': 'nat-203.0.113.7',
          'mini-k8s.io/behind-nat': 'true',
          [zone]: 'nat-203.0.113.7',
        },
        annotations: { 'kube-router.io/node.asn': asn },
      },
    });
  });

  it('says where a node is that is not', () => {
    expect(planNodeSite(node(), mainSite)?.metadata).toMatchObject({
      labels: { 'mini-k8s.io/site': 'main', [zone]: 'main' },
      annotations: { 'kube-router.io/node.asn': '4200000000' },
    });
    expect(planNodeSite(node(), mainSite)?.metadata.labels).not.toHaveProperty(
      'mini-k8s.io/behind-nat',
    );
  });

  it.each([
    ['moved', { 'kube-router.io/node.asn': '4200000000' }],
    [
      'moved, and was interrupted',
      { 'kube-router.io/node.asn': asn, 'mini-k8s.io/kube-router-restart': 'true' },
    ],
  ])('asks for another kube-router where the node has %s', (_what, annotations) => {
    const { labels = {} } = planNodeSite(node(), behindNat)?.metadata ?? { name: '' };
    const there = node({ labels, annotations, ...ours(...Object.keys(labels)) });
    expect(planNodeSite(there, behindNat)?.metadata.annotations).toEqual({
      'kube-router.io/node.asn': asn,
      'mini-k8s.io/kube-router-restart': 'true',
    });
  });

  it('does nothing when it is said already', () => {
    const applied = planNodeSite(node(), behindNat)?.metadata ?? { name: '' };
    const { labels = {}, annotations = {} } = applied;
    const other = { labels: { ...labels, mine: 'yes' }, annotations: { ...annotations, a: 'b' } };
    expect(planNodeSite(node({ ...other, ...ours(...Object.keys(labels)) }), behindNat)).toBe(
      undefined,
    );
  });

  it("leaves a user's own zone alone", () => {
    const labels = { [zone]: 'cellar' };
    const planned = planNodeSite(node({ labels }), behindNat);
    expect(planned?.metadata.labels).not.toHaveProperty(zone);
    const complete = {
      labels: {
        ...labels,
        'mini-k8s.io/site': behindNat.name,
        'mini-k8s.io/behind-nat': 'true',
      },
      annotations: { 'kube-router.io/node.asn': asn },
    };
    expect(planNodeSite(node(complete), behindNat)).toBeUndefined();
  });

  it('takes back what it said when the node is no longer behind NAT', () => {
    const labels = {
      'mini-k8s.io/site': 'main',
      'mini-k8s.io/behind-nat': 'true',
      [zone]: 'main',
    };
    const annotations = { 'kube-router.io/node.asn': '4200000000' };
    const stale = node({ labels, annotations, ...ours('mini-k8s.io/behind-nat', zone) });
    const planned = planNodeSite(stale, mainSite);
    expect(planned?.metadata.labels).toEqual({ 'mini-k8s.io/site': 'main', [zone]: 'main' });
    // A label that somebody else has set is not ours to take back, and is not tried for ever.
    expect(planNodeSite(node({ labels, annotations, ...ours(zone) }), mainSite)).toBeUndefined();
  });

  it('follows a node to another site, its own zone label too', () => {
    const labels = { 'mini-k8s.io/site': 'main', [zone]: 'main' };
    const moved = node({ labels, ...ours('mini-k8s.io/site', zone) });
    expect(planNodeSite(moved, behindNat)?.metadata.labels).toMatchObject({
      [zone]: behindNat.name,
    });
  });
});

describe('siteAsn', () => {
  it('is the same for a site wherever it is asked, and private', () => {
    expect(siteAsn('main')).toBe(4_200_000_000);
    expect(siteAsn('nat-203.0.113.7')).toBe(siteAsn('nat-203.0.113.7'));
    const sites = Array.from({ length: 2_000 }, (_, i) =>
      siteAsn(`nat-198.51.${i >> 8}.${i & 255}`),
    );
    for (const number of sites) {
      expect(number).toBeGreaterThan(4_200_000_000);
      expect(number).toBeLessThanOrEqual(4_294_967_294);
    }
    expect(new Set(sites).size).toBeGreaterThan(1_990);
  });
});
