import { statfs } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import type { BlobReference } from './blobs.ts';
import { describeContent, entryContent } from './oci-documents.ts';
import { type ArtifactStore, executablesOf } from './store.ts';
import type { ArtifactSpec, Descriptor, OciManifest } from './types.ts';

/** Some artifacts, or undefined = everything. */
export type Wanted = readonly ArtifactSpec[] | undefined;

/** A blob to obtain, with words for messages. */
export interface NeededBlob extends BlobReference {
  /** `kube-apiserver of kubernetes 1.37.1 (amd64)`. */
  readonly description: string;
}

/** Whether an index entry is one of the wanted artifacts. */
export function isWanted(entry: Descriptor, wanted: Wanted): boolean {
  const content = entryContent(entry);
  if (content.kind === 'other') return false;
  if (wanted === undefined) return true;
  if (content.kind === 'manifests') return false;
  return wanted.some((artifact) => {
    if (artifact.arch !== content.arch) return false;
    return artifact.kind === 'image'
      ? content.kind === 'image' && content.reference === artifact.reference
      : content.kind === 'component' &&
          content.name === artifact.name &&
          content.version === artifact.version;
  });
}

/** The executables of an entry that are wanted of it; none for an image. */
export function wantedExecutables(
  entry: Descriptor,
  manifest: OciManifest | undefined,
  wanted: Wanted,
): ReadonlyMap<string, Descriptor> {
  const all = manifest === undefined ? new Map<string, Descriptor>() : executablesOf(manifest);
  const content = entryContent(entry);
  if (wanted === undefined || content.kind !== 'component') return all;
  const names = new Set(
    wanted
      .filter((artifact) => artifact.kind === 'executable')
      .filter(({ name, version }) => name === content.name && version === content.version)
      .filter(({ arch }) => arch === content.arch)
      .flatMap((artifact) => artifact.members.map((member) => member.name)),
  );
  return new Map([...all].filter(([name]) => names.has(name)));
}

/** What an entry needs besides its manifest: the config, and the wanted executables or all layers of an image. */
export function blobsOfEntry(
  entry: Descriptor,
  manifest: OciManifest,
  wanted: Wanted,
): NeededBlob[] {
  const content = entryContent(entry);
  const subject = describeContent(content);
  const config = { ...pick(manifest.config), description: `config of ${subject}` };
  if (content.kind !== 'component') {
    const layers = manifest.layers.map((layer, i) => ({
      ...pick(layer),
      description: `layer ${i + 1} of ${subject}`,
    }));
    return [config, ...layers];
  }
  const executables = [...wantedExecutables(entry, manifest, wanted)];
  return [
    config,
    ...executables.map(([name, layer]) => ({
      ...pick(layer),
      description: `${name} of ${subject}`,
    })),
  ];
}

/**
 * Before anything is written: is there room for it?
 * @param what The act, for the message: `import /b.tar`.
 * @throws UserError with both numbers.
 */
export async function requireSpace(
  store: ArtifactStore,
  neededBytes: number,
  what: string,
): Promise<void> {
  const { bavail, bsize } = await statfs(store.directory);
  if (neededBytes <= bavail * bsize) return;
  throw new UserError({
    what,
    why: `${store.directory} needs ${inMebibytes(neededBytes)} MiB more and has ${inMebibytes(bavail * bsize)} MiB free`,
    fix: 'free space on that file system, or put the data directory on another with --data-dir',
  });
}

function pick(descriptor: Descriptor): BlobReference {
  return { digest: descriptor.digest, size: descriptor.size };
}

function inMebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
