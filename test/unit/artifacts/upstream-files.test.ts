import { describe, expect, test } from 'vitest';
import {
  componentMembers,
  executableArtifact,
  upstreamComponent,
} from '../../../src/artifacts/catalog.ts';
import { retryAfterMs } from '../../../src/artifacts/server-answer.ts';
import { mirroredUrl, planUpstreamFiles } from '../../../src/artifacts/upstream-files.ts';

const options = { arch: 'arm64', directory: '/b' } as const;

describe('the files of upstream', () => {
  test('are those that hold a wanted executable, and no others', () => {
    const wanted = [
      executableArtifact('kubernetes', { ...options, members: ['kubelet'] }),
      executableArtifact('etcd', { ...options, members: ['etcd', 'etcdctl'] }),
      executableArtifact('kubernetes', { ...options, members: ['kube-proxy'] }),
    ];
    const components = planUpstreamFiles(wanted, upstreamComponent);
    expect(components.map(({ name }) => name)).toEqual(['kubernetes', 'etcd']);
    const files = components.flatMap((component) => component.files);
    expect(files.map(({ url }) => url)).toEqual([
      'https://dl.k8s.io/v1.37.1/bin/linux/arm64/kube-proxy',
      'https://dl.k8s.io/v1.37.1/bin/linux/arm64/kubelet',
      'https://github.com/etcd-io/etcd/releases/download/v3.7.1/etcd-v3.7.1-linux-arm64.tar.gz',
    ]);
    expect(files[1]).toMatchObject({
      digest: 'sha256:03e64bb3e1611d1b9ea40095b382af014bd2aa0b5f1b6670af6bbfaa0b735443',
      isArchive: false,
      members: [{ name: 'kubelet', path: 'kubelet' }],
      description: 'kubelet of kubernetes 1.37.1 (arm64)',
    });
    expect(files[2]?.members).toEqual([
      { name: 'etcd', path: 'etcd-v3.7.1-linux-arm64/etcd' },
      { name: 'etcdctl', path: 'etcd-v3.7.1-linux-arm64/etcdctl' },
    ]);
  });

  test('are not known for images, other components, versions and executables', () => {
    const kubelet = executableArtifact('kubernetes', { ...options, members: ['kubelet'] });
    const foreign = [
      { kind: 'image', reference: 'registry.k8s.io/pause:3.10.2', arch: 'arm64' } as const,
      { ...kubelet, name: 'other' },
      { ...kubelet, version: '1.0.0' },
      { ...kubelet, members: [{ name: 'kubefed', path: '/b/kubefed' }] },
    ];
    expect(planUpstreamFiles(foreign, upstreamComponent)).toEqual([]);
  });

  test('cover every executable that a plan can want', () => {
    for (const name of ['kubernetes', 'etcd', 'containerd', 'runc', 'cni-plugins'] as const) {
      const [component] = planUpstreamFiles([executableArtifact(name, options)], upstreamComponent);
      const members = component?.files.flatMap((file) => file.members.map((member) => member.name));
      expect(members).toEqual(componentMembers(name));
    }
  });
});

test.each([
  ['https://mirror.example', 'https://mirror.example/v1/x'],
  ['https://mirror.example:8443/k8s/', 'https://mirror.example:8443/k8s/v1/x'],
  ['http://10.0.0.1/a/b', 'http://10.0.0.1/a/b/v1/x'],
])('below the mirror %s a file is at %s', (mirror, expected) => {
  expect(mirroredUrl('https://dl.k8s.io/v1/x', mirror)).toBe(expected);
});

describe('how long a server wants to be left alone', () => {
  const date = 'Sat, 21 Nov 2026 16:00:00 GMT';
  test.each([
    ['is said in seconds', { 'retry-after': '7' }, 7000],
    ['is half a second at least', { 'retry-after': '0' }, 500],
    ['is said by its own clock', { 'retry-after': 'Sat, 21 Nov 2026 16:02:00 GMT', date }, 120_000],
    ['is not said by a date that has passed', { 'retry-after': date, date }, 500],
    ['is not said by a date without a clock', { 'retry-after': date }, 1000],
    ['is not said by other words', { 'retry-after': 'soon', date }, 1000],
    ['is not said at all', {}, 1000],
  ])('%s', (_name, headers: Readonly<Record<string, string>>, expected) => {
    expect(retryAfterMs((name) => headers[name])).toBe(expected);
  });
});
