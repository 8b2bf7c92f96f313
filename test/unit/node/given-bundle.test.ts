import { expect, test } from 'vitest';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { annotations, mediaTypes } from '../../../src/artifacts/media-types.ts';
import type { OciIndex } from '../../../src/artifacts/types.ts';
import { findMisfit } from '../../../src/node/given-bundle.ts';

const etcd = artifacts.components.etcd.version;
const runc = artifacts.components.runc.version;

test.each([
  [['etcd', etcd, 'amd64'], undefined],
  // Something of it is of use; what is lacking besides may come from elsewhere.
  [['etcd', '3.4.0', 'amd64', 'runc', runc, 'amd64'], undefined],
  [['etcd', etcd, 'arm64', 'etcd', etcd, 'amd64'], undefined],
  [['tool', '1', 'arm64'], undefined],
  [[], undefined],
  [['etcd', etcd, 'arm64'], 'it is for arm64, and this is for amd64'],
  [['etcd', '3.4.0', 'amd64'], `it has etcd 3.4.0, and this mini-k8s runs etcd ${etcd}`],
])('a bundle with %j: %s', (components, misfit) => {
  expect(findMisfit(indexOf(components), 'amd64')).toBe(misfit);
});

function indexOf(components: readonly string[]): OciIndex {
  const manifests = [];
  for (let i = 0; i < components.length; i += 3) {
    const [name, version, arch = ''] = components.slice(i);
    manifests.push({
      mediaType: mediaTypes.manifest,
      artifactType: mediaTypes.component,
      digest: `sha256:${'0'.repeat(64)}`,
      size: 1,
      platform: { os: 'linux', architecture: arch },
      annotations: { [annotations.refName]: `${name}:${version}` },
    });
  }
  return { schemaVersion: 2, manifests };
}
