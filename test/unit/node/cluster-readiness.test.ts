import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/kube-client/types.ts';
import { isClusterReady, readClusterReadiness } from '../../../src/node/cluster-readiness.ts';
import { readableObjects } from '../../support/readable-objects.ts';

const since = Date.UTC(2026, 10, 21, 12, 0, 0, 700);

function object(kind: string, name: string, rest: object): KubeObject {
  const namespace =
    kind === 'Deployment' || kind === 'DaemonSet' ? { namespace: 'kube-system' } : {};
  return { apiVersion: 'v1', kind, metadata: { name, generation: 3, ...namespace }, ...rest };
}

const node = (condition: object) =>
  object('Node', 'edge-1', { status: { conditions: [{ type: 'Ready', ...condition }] } });
const readyNode = node({ status: 'True', lastHeartbeatTime: '2026-11-21T12:00:00Z' });

const deployment = (status: object, replicas = 1) =>
  object('Deployment', 'coredns', {
    spec: { replicas },
    status: { observedGeneration: 3, ...status },
  });
const daemonSet = (status: object) =>
  object('DaemonSet', 'kube-router', { status: { observedGeneration: 3, ...status } });

async function read(
  objects: Parameters<typeof readableObjects>[0],
  wanted: readonly KubeObject[] = [],
) {
  return readClusterReadiness(readableObjects(objects), {
    nodeName: 'edge-1',
    stacks: [{ name: 'addon', objects: wanted }],
    since,
  });
}

describe('the node', () => {
  it.each([
    [[], 'not registered yet'],
    [
      [node({ status: 'False', reason: 'KubeletNotReady', message: 'no CNI' })],
      'KubeletNotReady: no CNI',
    ],
    [[object('Node', 'edge-1', {})], 'Ready is not known yet'],
    [
      [node({ status: 'True', lastHeartbeatTime: '2026-11-21T11:59:59Z' })],
      'kubelet has not reported since the start',
    ],
    [[{ kind: 'Node', error: new Error('connection refused') }], 'connection refused'],
    [[readyNode], ''],
  ])('of %j: %s', async (objects, message) => {
    const readiness = await read(objects);
    expect(readiness.node).toEqual({ name: 'edge-1', isReady: message === '', message });
    expect(isClusterReady(readiness)).toBe(message === '');
  });
});

describe('an addon', () => {
  const wanted = [deployment({})];

  it.each([
    [deployment({ availableReplicas: 1, updatedReplicas: 1 }), ''],
    [deployment({ availableReplicas: 1 }), '0 of 1 replicas are available'],
    [deployment({ availableReplicas: 1, updatedReplicas: 1 }, 2), '1 of 2 replicas are available'],
    [
      deployment({ availableReplicas: 1, updatedReplicas: 1, observedGeneration: 2 }),
      '1 of 1 replicas are available',
    ],
  ])('with a Deployment %#: %s', async (live, message) => {
    const readiness = await read([readyNode, live], wanted);
    expect(readiness.addons).toEqual([{ name: 'addon', isReady: message === '', message }]);
  });

  it.each([
    [{ desiredNumberScheduled: 1, numberAvailable: 1, updatedNumberScheduled: 1 }, ''],
    [{ desiredNumberScheduled: 0 }, 'no node to run on yet'],
    [
      { desiredNumberScheduled: 2, numberAvailable: 2, updatedNumberScheduled: 1 },
      '1 of 2 pods are available',
    ],
  ])('with a DaemonSet %j: %s', async (status, message) => {
    const readiness = await read([readyNode, daemonSet(status)], [daemonSet({})]);
    expect(readiness.addons[0]?.message).toBe(message);
  });

  describe('with a DaemonSet that lacks a pod', () => {
    const labels = { 'k8s-app': 'kube-router' };
    const lacking = (template: object = {}): KubeObject => ({
      ...daemonSet({ desiredNumberScheduled: 2, numberAvailable: 1, updatedNumberScheduled: 2 }),
      metadata: {
        name: 'kube-router',
        namespace: 'kube-system',
        generation: 3,
        annotations: { 'deprecated.daemonset.template.generation': '3' },
      },
      spec: { selector: { matchLabels: labels }, template },
    });
    const pod = (nodeName: string, status: string, generation = '3'): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `kube-router-${nodeName}`,
        namespace: 'kube-system',
        labels: { ...labels, 'pod-template-generation': generation },
      },
      spec: { nodeName },
      status: { conditions: [{ type: 'Ready', status }] },
    });
    const message = '1 of 2 pods are available';
    const natOnly = { spec: { nodeSelector: { 'mini-k8s.io/behind-nat': 'true' } } };

    it.each([
      ['another node is down', lacking(), [pod('edge-1', 'True'), pod('edge-2', 'False')], ''],
      ['it is on this node', lacking(), [pod('edge-1', 'False'), pod('edge-2', 'True')], message],
      ['the pod here is an old one', lacking(), [pod('edge-1', 'True', '2')], message],
      ['there is none here yet', lacking(), [pod('edge-2', 'True')], message],
      ['none is wanted here', lacking(natOnly), [pod('edge-2', 'True')], ''],
    ])('when %s: %j', async (_case, live, pods, expected) => {
      const readiness = await read([readyNode, live, ...pods], [daemonSet({})]);
      expect(readiness.addons[0]?.message).toBe(expected);
    });
  });

  it('may have a DaemonSet for nodes that are not there', async () => {
    const status = { observedGeneration: 3, desiredNumberScheduled: 0 };
    const withSelector = (nodeSelector: object) =>
      object('DaemonSet', 'kube-router', {
        spec: { template: { spec: { nodeSelector } } },
        status,
      });
    const nat = await read([withSelector({ 'mini-k8s.io/behind-nat': 'true' })], [daemonSet({})]);
    expect(nat.addons[0]?.isReady).toBe(true);
    const all = await read([withSelector({ 'kubernetes.io/os': 'linux' })], [daemonSet({})]);
    expect(all.addons[0]?.message).toBe('no node to run on yet');
  });

  it('needs its API to be available', async () => {
    const service = (conditions: readonly object[]) =>
      object('APIService', 'v1beta1.metrics.k8s.io', { status: { conditions } });
    const missing = { type: 'Available', status: 'False', reason: 'MissingEndpoints' };
    const first = await read([readyNode, service([missing])], [service([])]);
    expect(first.addons[0]?.message).toBe('MissingEndpoints: False');
    const second = await read([service([{ type: 'Available', status: 'True' }])], [service([])]);
    expect(second.addons[0]?.isReady).toBe(true);
  });

  it('is told with everything that is missing of it', async () => {
    const readiness = await read([readyNode], [deployment({}), daemonSet({})]);
    expect(readiness.addons[0]?.message).toBe(
      'Deployment is not applied yet; DaemonSet is not applied yet',
    );
    expect(isClusterReady(readiness)).toBe(false);
  });

  it('is left out when nothing of it can say whether it works', async () => {
    expect((await read([readyNode], [object('ConfigMap', 'a', {})])).addons).toEqual([]);
  });
});

it('a controller without workloads is ready with its addons alone', async () => {
  const readiness = await readClusterReadiness(readableObjects([]), {
    nodeName: undefined,
    stacks: [],
    since,
  });
  expect(readiness).toEqual({ addons: [] });
  expect(isClusterReady(readiness)).toBe(true);
});
