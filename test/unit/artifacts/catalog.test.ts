import { describe, expect, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { detectFormat } from '../../../src/artifacts/bundle-stream.ts';
import { catalogPins, findUnpinned, type Pins } from '../../../src/artifacts/bundle-trust.ts';
import {
  componentMembers,
  componentVersion,
  executableArtifact,
  imageArtifact,
  imageReference,
  pinnedExecutableDigest,
  pinnedImageDigest,
} from '../../../src/artifacts/catalog.ts';
import type { Descriptor } from '../../../src/artifacts/types.ts';

describe('assets/artifacts.json', () => {
  const files = Object.values(artifacts.components).flatMap((component) => component.files);
  const architectures = ['amd64', 'arm64'] as const;

  test('has a sha256 for each file and architecture, all different', () => {
    const sums = files.flatMap((file) => architectures.map((arch) => file.sha256[arch]));
    for (const sum of sums) expect(sum).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(sums).size).toBe(sums.length);
    expect(sums.length).toBe(22);
  });

  test('names a version once: addresses hold {version} and {arch}', () => {
    for (const component of Object.values(artifacts.components)) {
      expect(component.version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(JSON.stringify(component.files)).not.toContain(component.version);
    }
    for (const { url } of files) expect(url).toMatch(/^https:\/\/.*\{version\}.*\{arch\}/);
  });

  test('names each executable once', () => {
    const names = files.flatMap((file) => file.members.map((member) => member.name));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('the catalog', () => {
  test('gives the specs that plans hold', () => {
    expect(componentVersion('kubernetes')).toBe(artifacts.components.kubernetes.version);
    expect(executableArtifact('cni-plugins', { arch: 'arm64', directory: '/opt/cni/bin' })).toEqual(
      {
        kind: 'executable',
        name: 'cni-plugins',
        version: artifacts.components['cni-plugins'].version,
        arch: 'arm64',
        members: ['bridge', 'host-local', 'loopback', 'portmap'].map((name) => ({
          name,
          path: `/opt/cni/bin/${name}`,
        })),
      },
    );
    const kubelet = { arch: 'amd64', directory: '/b', members: ['kubelet'] } as const;
    expect(executableArtifact('kubernetes', kubelet).members).toEqual([
      { name: 'kubelet', path: '/b/kubelet' },
    ]);
    expect(imageArtifact('pause', 'amd64')).toEqual({
      kind: 'image',
      reference: `registry.k8s.io/pause:${artifacts.images.pause.tag}`,
      arch: 'amd64',
    });
  });

  test('knows the digest of what is downloaded as it is, and not of members of an archive', () => {
    expect(pinnedExecutableDigest('kubernetes', 'kubelet', 'amd64')).toMatch(
      /^sha256:[0-9a-f]{64}$/,
    );
    expect(pinnedExecutableDigest('runc', 'runc', 'arm64')).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(pinnedExecutableDigest('etcd', 'etcd', 'amd64')).toBeUndefined();
    expect(pinnedExecutableDigest('kubernetes', 'nonsense', 'amd64')).toBeUndefined();
    expect(pinnedExecutableDigest('toString', 'x', 'amd64')).toBeUndefined();
    expect(componentMembers('etcd')).toContain('etcdctl');
    expect(pinnedImageDigest(imageReference('pause'))).toBe(artifacts.images.pause.digest);
    expect(pinnedImageDigest('example.test/other:1')).toBeUndefined();
  });
});

describe('trust by pins', () => {
  const kubelet = pinnedExecutableDigest('kubernetes', 'kubelet', 'amd64') ?? 'none';
  const entry: Descriptor = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'a'.repeat(64)}`,
    size: 1,
    artifactType: 'application/vnd.mini-k8s.component.v1',
    platform: { os: 'linux', architecture: 'amd64' },
    annotations: {
      'org.opencontainers.image.ref.name': `kubernetes:${componentVersion('kubernetes')}`,
    },
  };

  test('is given to upstream executables only, for their own name and architecture', () => {
    const executables = (digest: string) =>
      new Map([['kubelet', { mediaType: '', digest, size: 1 }]]);
    const arm = { ...entry, platform: { os: 'linux', architecture: 'arm64' } };
    const other = `sha256:${'b'.repeat(64)}`;
    expect(findUnpinned({ entry, executables: executables(kubelet) }, catalogPins)).toBeUndefined();
    expect(findUnpinned({ entry, executables: executables(other) }, catalogPins)).toBe(
      `kubelet of kubernetes ${componentVersion('kubernetes')} (amd64) has ${other}, the pin is ${kubelet}`,
    );
    expect(findUnpinned({ entry: arm, executables: executables(kubelet) }, catalogPins)).toContain(
      'the pin is sha256:',
    );
  });

  test('is given to an image only by its digest', () => {
    const image: Descriptor = {
      mediaType: entry.mediaType,
      digest: entry.digest,
      size: 1,
      annotations: { 'io.containerd.image.name': 'example.test/x:1' },
    };
    const pins: Pins = { executable: () => undefined, image: () => entry.digest };
    expect(findUnpinned({ entry: image, executables: new Map() }, pins)).toBeUndefined();
    expect(findUnpinned({ entry: image, executables: new Map() }, catalogPins)).toContain(
      'which is not a pinned digest',
    );
  });
});

test('the format of a bundle file is seen in its first bytes', () => {
  const tar = Buffer.alloc(512);
  tar.write('ustar', 257);
  expect(detectFormat(tar)).toBe('tar');
  expect(detectFormat(Buffer.from('28b52ffd0000', 'hex'))).toBe('zstd');
  expect(detectFormat(Buffer.from('1f8b08', 'hex'))).toBe('gzip');
  expect(detectFormat(Buffer.alloc(512))).toBe('unknown');
  expect(detectFormat(new Uint8Array())).toBe('unknown');
});
