import { describe, expect, test } from 'vitest';
import { judgeCertificates } from '../../../src/doctor/certificates.ts';
import { judgeKernel, type KernelContext } from '../../../src/doctor/kernel.ts';
import { judgeKeyFiles } from '../../../src/doctor/key-files.ts';
import { judgeLeftovers, type LeftoverFacts } from '../../../src/doctor/leftovers.ts';
import { judgeSettings } from '../../../src/doctor/settings.ts';
import { judgeStore } from '../../../src/doctor/store.ts';
import type { Feature, FeatureOutcome } from '../../../src/doctor/try-features.ts';
import type { ReadableCertificateStatus } from '../../../src/pki/types.ts';

describe('leftovers', () => {
  const none: LeftoverFacts = {
    distributions: [],
    links: ['lo', 'eth0', 'docker0', 'kube-bridge', 'veth1234'],
    cniFiles: [],
    cniDirectory: '/etc/cni/net.d',
    ownCniFile: '10-kuberouter.conflist',
    isNode: false,
  };
  const k3s = {
    why: 'K3s is on this machine: /etc/systemd/system/k3s.service is there',
    fix: 'remove it first: k3s-uninstall.sh',
  };

  test('of nobody', () => {
    expect(judgeLeftovers(none)).toMatchObject([{ state: 'ok' }]);
  });

  test('K3s is in the way of an installation, and is a warning beside a node', () => {
    expect(judgeLeftovers({ ...none, distributions: [k3s] })).toEqual([
      { state: 'fail', prevents: 'install a node', ...k3s },
    ]);
    expect(judgeLeftovers({ ...none, distributions: [k3s], isNode: true })).toMatchObject([
      { state: 'warn', ...k3s },
    ]);
  });

  test('links of another pod network', () => {
    const links = [...none.links, 'flannel.1', 'cni0'];
    expect(judgeLeftovers({ ...none, links })).toMatchObject([
      {
        state: 'warn',
        what: 'another pod network has left cni0, flannel.1',
        fix: 'ip link delete cni0; ip link delete flannel.1',
      },
    ]);
  });

  test('a CNI configuration that containerd would take instead of ours', () => {
    const cniFiles = ['10-flannel.conflist', '10-kuberouter.conflist', '99-loopback.conf'];
    expect(judgeLeftovers({ ...none, cniFiles })).toMatchObject([
      { state: 'fail', why: expect.stringContaining('/etc/cni/net.d/10-flannel.conflist') },
    ]);
    const behind = ['10-kuberouter.conflist', '87-podman.conflist', '.cilium.old', '00-README'];
    expect(judgeLeftovers({ ...none, cniFiles: behind })).toMatchObject([{ state: 'ok' }]);
    const { ownCniFile: _, ...custom } = none;
    expect(judgeLeftovers({ ...custom, cniFiles })).toMatchObject([{ state: 'ok' }]);
  });
});

describe('the kernel', () => {
  const context: KernelContext = {
    provider: 'kube-router',
    serviceMode: 'nftables',
    dataDir: '/data',
  };
  const works = { type: 'works' } as const;
  const all = ['overlay', 'veth', 'bridge', 'vxlan', 'nftables', 'iptables', 'conntrack', 'ipset'];
  const outcomes = (change: Partial<Record<Feature, FeatureOutcome>> = {}) =>
    new Map(all.map((name) => [name as Feature, change[name as Feature] ?? works]));
  const failed = (message: string): FeatureOutcome => ({ type: 'failed', message });

  test('that has everything', () => {
    expect(judgeKernel(outcomes(), context)).toEqual([
      { state: 'ok', what: `${all.join(', ')} work` },
    ]);
  });

  test('without overlay no container runs', () => {
    const found = outcomes({ overlay: failed('mount: unknown filesystem type') });
    expect(judgeKernel(found, context)).toMatchObject([
      { state: 'ok' },
      {
        state: 'fail',
        prevents: 'run containers',
        why: 'overlay does not work: mount: unknown filesystem type',
        fix: expect.stringContaining('/data on ext4'),
      },
    ]);
  });

  test('what nobody here needs is only mentioned', () => {
    const found = outcomes({
      vxlan: failed('Unknown device type.'),
      iptables: failed('no such table'),
    });
    expect(judgeKernel(found, context).map(({ state }) => state)).toEqual(['ok', 'ok', 'ok']);
  });

  test('what is needed follows the configuration', () => {
    const found = outcomes({
      nftables: failed('N'),
      iptables: failed('I'),
      ipset: failed('S'),
      bridge: failed('B'),
    });
    const failures = (change: Partial<KernelContext>) =>
      judgeKernel(found, { ...context, ...change }).flatMap((verdict) =>
        verdict.state === 'fail' ? [verdict.why.split(' ')[0]] : [],
      );
    expect(failures({})).toEqual(['bridge', 'nftables', 'ipset']);
    expect(failures({ serviceMode: 'iptables' })).toEqual(['bridge', 'iptables', 'ipset']);
    expect(failures({ serviceMode: undefined, provider: 'custom' })).toEqual([]);
  });

  test('what could not be tried is said where it is needed', () => {
    const why = 'ipset is not on this machine';
    const found = outcomes({ ipset: { type: 'untried', why } });
    expect(judgeKernel(found, context)).toContainEqual({ state: 'skipped', why: `ipset: ${why}` });
    expect(judgeKernel(found, { ...context, provider: 'custom' })).toHaveLength(1);
  });
});

describe('certificates', () => {
  const status = (change: Partial<ReadableCertificateStatus>): ReadableCertificateStatus => ({
    name: 'kube-apiserver',
    file: '/pki/kube-apiserver.crt',
    state: 'valid',
    commonName: 'kube-apiserver',
    notAfter: '2027-11-21T00:00:00.000Z',
    daysLeft: 364,
    ...change,
  });
  const authorities = [status({ name: 'ca', file: '/pki/ca.crt', daysLeft: 3600 })];
  const judge = (
    leaf: Partial<ReadableCertificateStatus>,
    node: { readonly hasControlPlane?: boolean; readonly isRunning?: boolean } = {},
  ) =>
    judgeCertificates({
      authorities,
      leaves: [status(leaf)],
      hasControlPlane: true,
      isRunning: true,
      ...node,
    })[0];

  test('that are valid, and which is next', () => {
    expect(judge({})).toEqual({
      state: 'ok',
      what: 'all 2 are valid; kube-apiserver expires first, in 364 days',
    });
    // The last third of its life: it is renewed within the hour.
    expect(judge({ state: 'expiring', daysLeft: 120 })).toMatchObject({ state: 'ok' });
  });

  test('before a node was started', () => {
    const missing = { name: 'ca', file: '/pki/ca.crt', state: 'missing' } as const;
    const facts = { authorities: [missing], leaves: [], hasControlPlane: true, isRunning: false };
    expect(judgeCertificates(facts)).toEqual([{ state: 'ok', what: 'there are none yet' }]);
  });

  test('one that nobody has renewed in time', () => {
    const late = { state: 'expiring', daysLeft: 12 } as const;
    expect(judge(late)).toMatchObject({ state: 'warn', what: 'kube-apiserver expires in 12 days' });
    expect(judge(late, { isRunning: false })).toMatchObject({
      state: 'warn',
      fix: expect.stringContaining('mini-k8s start'),
    });
  });

  test('an expired one of a controller is made again by its start, one of a worker by nobody', () => {
    const expired = { state: 'expired', daysLeft: -3 } as const;
    expect(judge(expired, { isRunning: false })).toMatchObject({ state: 'warn' });
    expect(judge(expired, { hasControlPlane: false })).toMatchObject({
      state: 'fail',
      prevents: 'reach the cluster',
      fix: expect.stringContaining('fresh token'),
    });
  });

  test('an authority that has expired, or will within the year', () => {
    const withAuthority = (change: Partial<ReadableCertificateStatus>) =>
      judgeCertificates({
        authorities: [status({ name: 'ca', file: '/pki/ca.crt', ...change })],
        leaves: [],
        hasControlPlane: true,
        isRunning: true,
      })[0];
    expect(withAuthority({ state: 'expired', daysLeft: -1 })).toMatchObject({
      state: 'fail',
      prevents: 'use the authority ca',
    });
    expect(withAuthority({ state: 'expiring', daysLeft: 200 })).toMatchObject({ state: 'warn' });
    expect(withAuthority({ state: 'not-yet-valid' })).toMatchObject({ state: 'warn' });
  });

  test('a damaged one', () => {
    const lost = { name: 'ca', file: '/pki/ca.crt', state: 'unreadable' } as const;
    const facts = { authorities: [lost], leaves: [], hasControlPlane: true, isRunning: true };
    expect(judgeCertificates(facts)).toMatchObject([
      { state: 'fail', why: '/pki/ca.crt is damaged' },
    ]);
  });
});

test('a key that others can read is mended by its mode', () => {
  const files = [
    { path: '/pki/ca.key', mode: 0o644 },
    { path: '/pki/etcd.key', mode: 0o600 },
  ];
  expect(judgeKeyFiles(files)).toEqual([
    {
      state: 'warn',
      what: '/pki/ca.key has mode 0644',
      why: 'others on this machine could act as the cluster with it',
      fix: 'chmod 600 /pki/ca.key',
      repair: { type: 'file-mode', path: '/pki/ca.key', mode: 0o600 },
    },
  ]);
  expect(judgeKeyFiles(files.slice(1))).toMatchObject([{ state: 'ok' }]);
});

test('a setting that something has put back fails where pods need it, and warns elsewhere', () => {
  const forward = { key: 'net.ipv4.ip_forward', wanted: '1', actual: '0', isVital: true };
  const panic = { key: 'kernel.panic', wanted: '10', actual: '0', isVital: false };
  expect(judgeSettings([forward, panic])).toMatchObject([
    { state: 'fail', repair: { type: 'sysctl', key: 'net.ipv4.ip_forward', value: '1' } },
    { state: 'warn', what: 'kernel.panic has changed' },
  ]);
  expect(
    judgeSettings([
      { ...forward, actual: '1' },
      { ...panic, actual: undefined },
    ]),
  ).toEqual([{ state: 'ok', what: 'all 2 are as this node has set them' }]);
});

test('a damaged store names the first file, and how it is mended', () => {
  const problem = { digest: 'sha256:a', path: '/store/a', why: 'its content has sha256:b' };
  const facts = { storeDir: '/store', problems: [], elapsedMs: 1234 };
  expect(judgeStore(facts)).toEqual([
    { state: 'ok', what: '/store is sound: all of it read in 1.2 s' },
  ]);
  expect(judgeStore({ ...facts, problems: [problem, problem, problem] })).toMatchObject([
    {
      state: 'fail',
      why: '/store/a: its content has sha256:b, and 2 more',
      repair: { type: 'discard-blobs' },
    },
  ]);
});
