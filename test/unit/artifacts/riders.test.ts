import { expect, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { annotations, mediaTypes } from '../../../src/artifacts/media-types.ts';
import { isRider } from '../../../src/artifacts/riders.ts';
import type { Descriptor } from '../../../src/artifacts/types.ts';

const { pause } = artifacts.images;

test.each([
  ['registry.example/shop:1', 'amd64', true],
  ['registry.example/shop:1', 'arm64', false],
  [`${pause.repository}:${pause.tag}`, 'amd64', false],
  // Of another release of mini-k8s, and not of the user's.
  [`${pause.repository}:1.0`, 'amd64', false],
])('an image %s for %s rides along for amd64: %s', (reference, arch, rides) => {
  expect(isRider(entry({ reference, arch }), 'amd64')).toBe(rides);
});

test('manifests ride along for every architecture, components for none', () => {
  const manifests = { artifactType: mediaTypes.manifests, reference: 'manifests/web' };
  expect(isRider(entry(manifests), 'arm64')).toBe(true);
  expect(isRider(entry(manifests), undefined)).toBe(false);
  const component = { artifactType: mediaTypes.component, reference: 'etcd:3.7.1', arch: 'amd64' };
  expect(isRider(entry(component), 'amd64')).toBe(false);
});

function entry(options: {
  readonly reference: string;
  readonly arch?: string;
  readonly artifactType?: string;
}): Descriptor {
  const { reference, arch, artifactType } = options;
  return {
    mediaType: mediaTypes.manifest,
    digest: `sha256:${'0'.repeat(64)}`,
    size: 1,
    annotations: { [annotations.refName]: reference },
    ...(arch === undefined ? {} : { platform: { os: 'linux', architecture: arch } }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}
