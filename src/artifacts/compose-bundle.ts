import { throwCollected, UserError } from '../base/errors.ts';
import { type BundledStack, writeBundledStack } from './bundle-manifests.ts';
import { annotations } from './media-types.ts';
import { writeComponentManifest, writeIndex } from './oci-layout.ts';
import { type ArtifactStore, findComponent, findImage, pruneStore } from './store.ts';
import type { ArtifactSpec, Descriptor, ExecutableArtifact } from './types.ts';

export interface BundleContents {
  readonly artifacts: readonly ArtifactSpec[];
  readonly stacks: readonly BundledStack[];
}

/**
 * Makes a store that has these artifacts a bundle: an index of exactly them, each whole, and no other blob. A component
 * has only the executables that are wanted of it, since other tools do not copy what is there in part.
 * @returns the sha256 of its index.json in hex.
 * @throws UserError for each image that is not there.
 */
export async function composeBundle(
  store: ArtifactStore,
  { artifacts, stacks }: BundleContents,
): Promise<{ readonly indexSha256: string; readonly entries: readonly Descriptor[] }> {
  const entries: Descriptor[] = [];
  const missing: UserError[] = [];
  for (const component of mergeComponents(artifacts)) {
    entries.push(await composeComponent(store, component));
  }
  for (const artifact of artifacts) {
    if (artifact.kind !== 'image') continue;
    const found = await findImage(store, artifact.reference, artifact.arch);
    if (found === undefined) missing.push(missingImage(artifact));
    else entries.push(found.entry);
  }
  throwCollected(missing);
  for (const stack of stacks) entries.push(await writeBundledStack(store.directory, stack));
  const { indexSha256 } = await writeIndex(store.directory, entries);
  await pruneStore(store);
  return { indexSha256, entries };
}

async function composeComponent(
  store: ArtifactStore,
  artifact: ExecutableArtifact,
): Promise<Descriptor> {
  const found = await findComponent(store, artifact);
  const layers = artifact.members.flatMap(({ name }) => found?.executables.get(name) ?? []);
  if (found === undefined || layers.length < artifact.members.length) {
    throw new Error(`${artifact.name} vanished from ${store.directory}`);
  }
  const isUpstreams = found.entry.annotations?.[annotations.builtFrom] === 'upstream';
  const { name, version, arch } = artifact;
  return await writeComponentManifest(store.directory, {
    ...{ name, version, arch, layers, builtFrom: isUpstreams ? 'upstream' : 'source' },
  });
}

/** Of each component and architecture one, with the executables of all who asked, each once. */
function mergeComponents(artifacts: readonly ArtifactSpec[]): readonly ExecutableArtifact[] {
  const merged = new Map<string, ExecutableArtifact>();
  for (const artifact of artifacts) {
    if (artifact.kind !== 'executable') continue;
    const key = `${artifact.name} ${artifact.version} ${artifact.arch}`;
    const members = [...(merged.get(key)?.members ?? []), ...artifact.members];
    const unique = new Map(members.map((member) => [member.name, member]));
    merged.set(key, { ...artifact, members: [...unique.values()] });
  }
  return [...merged.values()];
}

function missingImage({
  reference,
  arch,
}: {
  readonly reference: string;
  readonly arch: string;
}): UserError {
  return new UserError({
    what: `put image ${reference} (${arch}) into the bundle`,
    why: 'neither the store of this machine nor a source has it',
    fix: 'give a bundle or another OCI image layout that has it with --bundle',
  });
}
