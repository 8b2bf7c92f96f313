import { defaultDataDir } from '../../src/config/paths.ts';
import { nodePaths } from '../support/e2e/product.ts';
import type { TestNode } from '../support/node/types.ts';

/** What a node keeps on its disk, without etcd's data, in bytes as the file system counts them. */
export interface DiskUse {
  readonly totalBytes: number;
  /** By what it is; the executable is that of mini-k8s itself, of which an upgrade keeps a second one. */
  readonly parts: Readonly<Record<string, number>>;
}

const containerd = `${defaultDataDir}/containerd`;

/** `du` counts what it has counted before no more: executables in bin/ are links to the store's. */
const places = [
  ['executable', nodePaths.executable],
  ['components in use', `${defaultDataDir}/bin`],
  ['store', `${defaultDataDir}/store`],
  ['layers in containerd', `${containerd}/io.containerd.content.v1.content`],
  ['unpacked images', `${containerd}/io.containerd.snapshotter.v1.overlayfs`],
  ['etcd', `${defaultDataDir}/etcd`],
  ['everything else', defaultDataDir],
] as const;

export async function measureDisk(node: TestNode): Promise<DiskUse> {
  const names = places.map(([, place]) => place);
  const script =
    'for place; do [ -e "$place" ] && set -- "$@" "$place"; shift; done; du -s -B1 "$@"';
  const said = await node.run(['sh', '-c', script, 'sh', ...names]);
  const sizes = new Map(
    said
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([bytes, place = '']) => [place, Number(bytes)]),
  );
  const images = JSON.parse(await node.run([nodePaths.executable, 'images', 'list', '-o', 'json']));
  const imageBytes = imageSizes(images).reduce((sum, size) => sum + size, 0);
  const entries = places
    .filter(([part]) => part !== 'etcd')
    .flatMap(([part, place]): [string, number][] => {
      const bytes = sizes.get(place) ?? 0;
      if (part !== 'store') return [[part, bytes]];
      return [
        ['images in the store', imageBytes],
        ['other components in the store', Math.max(0, bytes - imageBytes)],
      ];
    });
  const totalBytes = entries.reduce((sum, [, bytes]) => sum + bytes, 0);
  return { totalBytes, parts: Object.fromEntries(entries) };
}

function imageSizes(images: unknown): number[] {
  return (images as readonly { readonly sizeBytes?: number }[]).map(
    ({ sizeBytes = 0 }) => sizeBytes,
  );
}
