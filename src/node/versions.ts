import {
  type ComponentName,
  componentVersion,
  type ImageName,
  imageReference,
} from '../artifacts/catalog.ts';

const shown: readonly ComponentName[] = ['kubernetes', 'etcd', 'containerd', 'runc', 'cni-plugins'];
const addons: readonly ImageName[] = ['kube-router', 'coredns', 'metrics-server'];

/** The pinned versions of what this release runs, without a leading v. */
export function pinnedVersions(): Record<string, string> {
  return Object.fromEntries([
    ...shown.map((name) => [name, componentVersion(name)]),
    ...addons.map((name) => [name, imageVersion(name)]),
  ]);
}

/** The tag of `registry/name:tag@digest`. */
function imageVersion(name: ImageName): string {
  const [tagged = ''] = imageReference(name).split('@');
  return tagged.slice(tagged.lastIndexOf(':') + 1).replace(/^v/, '');
}
