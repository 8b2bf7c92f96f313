import { throwCollected, UserError, UserErrors } from '../base/errors.ts';
import { hasBlob } from './blobs.ts';
import { ensureLinks } from './link-executables.ts';
import { describeContent, entryContent } from './oci-documents.ts';
import { isDiskFull } from './server-answer.ts';
import { type ArtifactStore, findComponent, findImage, readStoreIndex } from './store.ts';
import type { ArtifactEvent, ArtifactSource, ArtifactSpec, ExecutableArtifact } from './types.ts';

export interface EnsureArtifactsOptions {
  readonly store: ArtifactStore;
  /** Asked in order, each only for what is still lacking. */
  readonly sources: readonly ArtifactSource[];
  /**
   * What this node does not use itself but serves to others: taken into the store where a source has it, never linked,
   * never required. Paths in it mean nothing.
   */
  readonly forOthers?: readonly ArtifactSpec[];
  /** Only into the store: no executable at its path. */
  readonly isStoreOnly?: boolean;
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly signal: AbortSignal;
}

/**
 * Makes every executable present at its path (mode 0755), from the store or else from a source, and every image
 * present in the store where a source has it; an image that nobody has is left to containerd, which pulls it.
 * Done twice it changes nothing and reads no executable.
 * @throws UserError for each executable that neither the store nor a source has in the wanted version; or what went
 *     wrong with the sources that might have had it.
 */
export async function ensureArtifacts(
  artifacts: readonly ArtifactSpec[],
  options: EnsureArtifactsOptions,
): Promise<void> {
  const { store, forOthers = [] } = options;
  let lacking = await findLacking([...artifacts, ...forOthers], store);
  const offers: Offer[] = [];
  const failures: UserError[] = [];
  for (const source of options.sources) {
    if (lacking.length === 0) break;
    const asked = await askSource(source, lacking, options);
    failures.push(...asked.failures);
    if (asked.failures.length === 0) {
      offers.push({ place: source.description, contents: asked.contents });
    }
    lacking = await findLacking(lacking, store);
  }
  const own = lacking.filter((artifact) => artifacts.includes(artifact));
  await requireExecutables(own, { ...options, offers, failures });
  for (const artifact of lacking) {
    if (!own.includes(artifact)) options.onEvent({ type: 'unserved', name: nameOf(artifact) });
    else if (artifact.kind === 'image') {
      options.onEvent({ type: 'image-missing', reference: artifact.reference });
    }
  }
  if (options.isStoreOnly === true) return;
  for (const artifact of artifacts) {
    if (artifact.kind === 'executable') await ensureLinks(artifact, options);
  }
}

/** What a source has instead, or what went wrong with it where another source may have the same. */
async function askSource(
  source: ArtifactSource,
  lacking: readonly ArtifactSpec[],
  { onEvent, signal }: EnsureArtifactsOptions,
): Promise<{ readonly contents: readonly string[]; readonly failures: readonly UserError[] }> {
  try {
    return { contents: await source.provide(lacking, signal), failures: [] };
  } catch (error) {
    const failures = userErrorsOf(error);
    if (source.mayFail !== true || failures.length === 0) throw error;
    if (failures.some(({ cause }) => isDiskFull(cause))) throw error;
    for (const { message } of failures) {
      onEvent({ type: 'source-failed', source: source.description, why: message });
    }
    return { contents: [], failures };
  }
}

/** None for what is no news for a user: an abort, a bug. */
function userErrorsOf(error: unknown): readonly UserError[] {
  if (error instanceof UserErrors) return error.errors;
  return error instanceof UserError ? [error] : [];
}

async function findLacking(
  artifacts: readonly ArtifactSpec[],
  store: ArtifactStore,
): Promise<readonly ArtifactSpec[]> {
  const lacking: ArtifactSpec[] = [];
  for (const artifact of artifacts) {
    if (!(await isStored(artifact, store))) lacking.push(artifact);
  }
  return lacking;
}

async function isStored(artifact: ArtifactSpec, store: ArtifactStore): Promise<boolean> {
  if (artifact.kind === 'image') {
    return (await findImage(store, artifact.reference, artifact.arch)) !== undefined;
  }
  const component = await findComponent(store, artifact);
  for (const { name } of artifact.members) {
    const blob = component?.executables.get(name);
    if (blob === undefined || !(await hasBlob(store.directory, blob))) return false;
  }
  return component !== undefined;
}

async function requireExecutables(
  lacking: readonly ArtifactSpec[],
  options: EnsureArtifactsOptions & {
    readonly offers: readonly Offer[];
    readonly failures: readonly UserError[];
  },
): Promise<void> {
  const executables = lacking.filter((artifact) => artifact.kind === 'executable');
  if (executables.length === 0) return;
  const stored = (await readStoreIndex(options.store)).manifests.map((entry) =>
    describeContent(entryContent(entry)),
  );
  const store = { place: `the store ${options.store.directory}`, contents: stored };
  const offers = [store, ...options.offers];
  const lackingErrors = executables.map(
    (artifact) =>
      new UserError({
        what: `obtain ${artifact.members.map(({ name }) => name).join(', ')} of ${nameOf(artifact)}`,
        why: offers.map((offer) => describeOffer(offer, artifact)).join('; '),
        fix: 'give a bundle that has exactly this version and architecture with --bundle',
      }),
  );
  throwCollected([...lackingErrors, ...options.failures]);
}

/** What a place has, as a person reads it. */
interface Offer {
  /** `bundle /b.tar`. */
  readonly place: string;
  readonly contents: readonly string[];
}

/** `bundle /b.tar has kubernetes 1.36.4 (amd64)`: only what bears the name of what is lacking. */
function describeOffer({ place, contents }: Offer, lacking: ExecutableArtifact): string {
  const similar = contents
    .filter((content) => content.startsWith(`${lacking.name} `))
    .map((content) => (content === nameOf(lacking) ? `${content} without all of these` : content));
  return `${place} has ${similar.length === 0 ? 'none of it' : similar.join(', ')}`;
}

function nameOf(artifact: ArtifactSpec): string {
  return artifact.kind === 'image'
    ? `image ${artifact.reference} (${artifact.arch})`
    : `${artifact.name} ${artifact.version} (${artifact.arch})`;
}
