import { createHash } from 'node:crypto';
import type { TestNode } from '../node/types.ts';
import { nodePaths } from './product.ts';

interface BundleIndex {
  readonly manifests: readonly {
    readonly digest: string;
    readonly size: number;
    readonly artifactType?: string;
    readonly platform?: { readonly architecture: string };
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
}

export const refName = 'org.opencontainers.image.ref.name';

/** A bundle in the node that can be damaged: every file a link to the real bundle's, until it is written over. */
export async function copyBundle(node: TestNode, directory: string): Promise<void> {
  await node.run(['rm', '-rf', directory]);
  await node.run(['cp', '-rs', `${nodePaths.bundle}/.`, directory]);
}

/** Writes another file in place of a link. */
export async function replaceFile(
  node: TestNode,
  file: string,
  content: string | Uint8Array,
): Promise<void> {
  await node.run(['rm', '-f', file]);
  await node.writeFile(file, content);
}

/** Changes the copy's index.json. Returns its new sha256. */
export async function editIndex(
  node: TestNode,
  directory: string,
  edit: (entry: BundleIndex['manifests'][number]) => BundleIndex['manifests'][number],
): Promise<string> {
  const index = await readIndex(node, directory);
  const text = JSON.stringify({ ...index, manifests: index.manifests.map(edit) });
  await replaceFile(node, `${directory}/index.json`, text);
  return createHash('sha256').update(text).digest('hex');
}

/** Path of an executable's blob below the copy, found as the product does: index, manifest, layer by its title. */
export async function executableBlob(
  node: TestNode,
  directory: string,
  executable: string,
): Promise<string> {
  const index = await readIndex(node, directory);
  for (const entry of index.manifests) {
    const manifest = JSON.parse(await node.readFile(blobFile(directory, entry.digest))) as {
      layers: { digest: string; annotations?: Record<string, string> }[];
    };
    const layer = manifest.layers.find(({ annotations }) =>
      Object.values(annotations ?? {}).includes(executable),
    );
    if (layer !== undefined) return blobFile(directory, layer.digest);
  }
  throw new Error(`the bundle has no executable ${executable}`);
}

async function readIndex(node: TestNode, directory: string): Promise<BundleIndex> {
  return JSON.parse(await node.readFile(`${directory}/index.json`)) as BundleIndex;
}

function blobFile(directory: string, digest: string): string {
  return `${directory}/blobs/${digest.replace(':', '/')}`;
}
