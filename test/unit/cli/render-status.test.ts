import { describe, expect, it } from 'vitest';
import { duration } from '../../../src/cli/duration.ts';
import { renderStatus } from '../../../src/cli/render-status.ts';
import type { NodeStatus } from '../../../src/node/status-types.ts';
import { fakeStream, screenOf } from '../../support/fake-stream.ts';

const now = Date.UTC(2026, 10, 21, 12, 0, 0);

const status: NodeStatus = {
  version: '0.1.0',
  kubernetesVersion: '1.37.1',
  node: { name: 'edge-1', role: 'controller', address: '192.168.7.20', isReady: true, message: '' },
  supervisor: {
    pid: 812,
    startedAt: new Date(now - 3_725_000).toISOString(),
    anonymousBytes: 30 * 1024 * 1024,
    dataDir: '/var/lib/mini-k8s',
    builtFrom: 'source',
    kubeProxyMode: 'nftables',
  },
  components: [
    {
      name: 'etcd',
      state: { type: 'Running', ready: true, startedAt: now, pid: 820 },
      restartCount: 0,
      lastOutput: ['quiet'],
      anonymousBytes: 20 * 1024 * 1024,
    },
    {
      name: 'kubelet',
      state: {
        type: 'Waiting',
        reason: 'CrashLoopBackOff',
        message: 'exited with code 1',
        retryAt: now + 8000,
      },
      restartCount: 3,
      lastTermination: {
        exitCode: 1,
        reason: 'Error',
        message: 'exited with code 1',
        finishedAt: now - 2000,
      },
      lastOutput: ['1', '2', '3', '4', '5', 'swap is on'],
    },
    {
      name: 'kube-proxy',
      state: { type: 'Waiting', reason: 'DependencyNotReady', message: 'waiting for kubelet' },
      restartCount: 0,
      lastOutput: [],
    },
  ],
  addons: [
    { name: 'coredns', isReady: true, message: '' },
    { name: 'metrics-server', isReady: false, message: '0 of 1 replicas are available' },
  ],
  stacks: [
    { name: 'coredns', origin: 'packaged', state: 'Applied', objects: 6 },
    { name: 'web', origin: 'user', state: 'Applied', objects: 2 },
    { name: 'shop', origin: 'user', state: 'Failed', objects: 0, message: 'a.yaml is not YAML' },
  ],
  certificates: [
    {
      name: 'ca',
      file: '/p/ca.crt',
      state: 'valid',
      commonName: 'ca',
      notAfter: '2036-11-18T00:00:00.000Z',
      daysLeft: 3649,
    },
    {
      name: 'etcd-server',
      file: '/p/etcd-server.crt',
      state: 'valid',
      commonName: 'etcd',
      notAfter: '2027-11-21T00:00:00.000Z',
      daysLeft: 364,
    },
    { name: 'admin-client', file: '/p/admin-client.crt', state: 'missing' },
  ],
  tunnel: {
    isListening: true,
    activeStreams: 0,
    stalledStreams: 0,
    acceptedStreams: 0,
    refusedStreams: 0,
    bytesToTargets: 0,
    bytesFromTargets: 0,
    nodes: [],
  },
};

describe('renderStatus', () => {
  it('is what a person reads', () => {
    expect(
      renderStatus(status, fakeStream(), now),
    ).toBe(`✓ node edge-1 (controller, 192.168.7.20) is Ready
  mini-k8s 0.1.0, Kubernetes 1.37.1
  components built from source
  kube-proxy uses nftables
  pid 812, up 1h2m, 30 MiB, /var/lib/mini-k8s

  COMPONENT   STATE               RESTARTS  MEMORY  LAST EXIT
  etcd        Running (pid 820)   0         20 MiB
  kubelet     CrashLoopBackOff    3                 exit 1, 2s ago
  kube-proxy  DependencyNotReady  0

  kubelet: exited with code 1; next try in 8s
    2
    3
    4
    5
    swap is on

  kube-proxy: waiting for kubelet

  ADDON           READY
  coredns         yes
  metrics-server  no: 0 of 1 replicas are available

  MANIFESTS  STATE
  web        Applied (2 objects)
  shop       Failed: a.yaml is not YAML

Certificates: 3; etcd-server expires first, in 364 days (2027-11-21T00:00:00.000Z); /p/admin-client.crt is missing.
`);
  });

  it('says why the node is not Ready', () => {
    const node = { ...status.node, isReady: false, message: 'KubeletNotReady: no CNI' };
    const [first] = renderStatus({ ...status, node }, fakeStream(), now).split('\n');
    expect(first).toBe('✗ node edge-1 (controller, 192.168.7.20): KubeletNotReady: no CNI');
  });

  it('leaves out tables without a row', () => {
    const text = renderStatus({ ...status, addons: [], stacks: [] }, fakeStream(), now);
    expect(text).not.toContain('ADDON');
    expect(text).not.toContain('MANIFESTS');
    expect(text).not.toContain('\n\n\n');
  });

  it('cuts rows of tables on a narrow terminal, and only there', () => {
    const text = screenOf(renderStatus(status, fakeStream({ columns: 40 }), now));
    const rows = text
      .split('\n')
      .filter((line) => /^ {2}(COMPONENT|etcd|kubelet {2}|metrics)/.test(line));
    expect(rows).toHaveLength(4);
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(40);
    expect(text).toContain('exited with code 1; next try in 8s');
  });
});

it.each([
  [-5, '0s'],
  [12_000, '12s'],
  [430_000, '7m10s'],
  [7_500_000, '2h5m'],
  [273_600_000, '3d4h'],
])('duration(%d) is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});
