import { type ComponentName, componentVersion } from '../artifacts/catalog.ts';

const shown: readonly ComponentName[] = ['kubernetes', 'etcd', 'containerd', 'runc', 'cni-plugins'];

/** The pinned versions of what this release runs. */
export function pinnedVersions(): Record<string, string> {
  return Object.fromEntries(shown.map((name) => [name, componentVersion(name)]));
}
