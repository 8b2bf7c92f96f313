import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { temporaryDirectory } from '../artifacts/blobs.ts';
import { composeBundle } from '../artifacts/compose-bundle.ts';
import { ensureArtifacts } from '../artifacts/ensure-artifacts.ts';
import { parseImageReference, renderImageReference } from '../artifacts/image-reference.ts';
import { findStore } from '../artifacts/inspect-store.ts';
import { writeBundleArchive } from '../artifacts/layout-tar.ts';
import { describeContent, entryContent } from '../artifacts/oci-documents.ts';
import { type ArtifactStore, openStore } from '../artifacts/store.ts';
import { createStoreSource } from '../artifacts/store-source.ts';
import type { Architecture, ArtifactSource, ArtifactSpec } from '../artifacts/types.ts';
import { throwCollected, UserError } from '../base/errors.ts';
import type { ArtifactsSpec, ProxySpec } from '../config/types.ts';
import { artifactSources } from './artifact-sources.ts';
import { type FetchOptions, resolveScope } from './artifact-store.ts';
import { readStacks } from './bundle-stacks.ts';
import { type BundleTarget, openTarget, publish, withTarget } from './bundle-target.ts';
import type { NodeEvent } from './events.ts';
import { checkBundle } from './given-bundle.ts';
import { type RegistryAccess, readAuthFile } from './registry-sources.ts';
import { reportStep } from './report-step.ts';

export interface CreateBundleOptions extends Omit<FetchOptions, 'arch'> {
  readonly out: string;
  /** `amd64`, `arm64` or both; empty: this machine's. */
  readonly architectures: readonly string[];
  /** References of images beside those of mini-k8s. */
  readonly images: readonly string[];
  /** Directories and files with Kubernetes objects. */
  readonly manifests: readonly string[];
  /** Credentials of registries, as `docker login` writes them. */
  readonly authFile?: string;
  /** Registries that speak no TLS, `host:port`. */
  readonly plainHttp: readonly string[];
  /** Of the compression, 1 to 19. */
  readonly zstdLevel: number;
}

export interface CreatedBundle {
  /** Absolute. */
  readonly path: string;
  /** Of the file; all its blobs where it is a directory. */
  readonly sizeBytes: number;
  /** What `--trust-bundle` takes. */
  readonly indexSha256: string;
  /** As a person reads them: `kubernetes 1.37.1 (amd64)`. */
  readonly contents: readonly string[];
}

/** Somebody waits for the bundle, and wants all of it: half a minute of pauses. */
const registryRounds = 6;

/**
 * Makes a bundle of what a role needs, from the store of this machine, which may be in use, and the sources. Under its
 * name there is the whole bundle or none; what an interrupted one had fetched is there for the next.
 * @throws UserError for what no source has, and for a wrong option.
 */
export async function createBundle(
  options: CreateBundleOptions,
  signal: AbortSignal,
): Promise<CreatedBundle> {
  const target = await openTarget(options.out);
  const stacks = await readStacks(options.manifests);
  const { artifacts, spec, proxy, storeDir } = await planContents(options);
  const from = await findStore(storeDir);
  const bundle = await checkBundle(options, signal);
  const registries = await registryAccess(options);
  return withTarget(target, async (keepUnfinished) => {
    const store = await openStore(target.stagingDir);
    const onEvent = watchFetching(options.onEvent, keepUnfinished);
    const sources = [
      ...ownSource(from, store, target),
      ...artifactSources({
        ...options,
        registries,
        bundle,
        onEvent,
        store,
        spec,
        proxy,
        controllers: [],
      }),
    ];
    await reportStep('contents', onEvent, () =>
      ensureArtifacts(artifacts, { store, sources, onEvent, signal, isStoreOnly: true }),
    );
    const { indexSha256, entries } = await composeBundle(store, { artifacts, stacks });
    await rm(temporaryDirectory(store.directory), { recursive: true, force: true });
    await reportStep('bundle', onEvent, () => pack(target, options, signal));
    const sizeBytes =
      target.form === 'directory'
        ? entries.reduce((sum, { size }) => sum + size, 0)
        : (await stat(target.path)).size;
    const contents = entries.map((entry) => describeContent(entryContent(entry)));
    return { path: target.path, sizeBytes, indexSha256, contents };
  });
}

async function registryAccess({
  authFile,
  plainHttp,
}: CreateBundleOptions): Promise<RegistryAccess> {
  if (authFile === undefined) return { plainHttp, rounds: registryRounds };
  return { plainHttp, rounds: registryRounds, credentialsOf: await readAuthFile(authFile) };
}

async function pack(
  target: BundleTarget,
  { zstdLevel }: CreateBundleOptions,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (target.form === 'directory') return publish(target, undefined);
  const archive = path.join(target.stagingDir, 'archive');
  const compression = target.form === 'tar' ? {} : { zstdLevel };
  await writeBundleArchive(target.stagingDir, archive, { ...compression, signal });
  await publish(target, archive);
}

/** Notes what came from elsewhere. Nobody pulls later what a bundle lacks: that is an error here, and no event. */
function watchFetching(
  onEvent: (event: NodeEvent) => void,
  onFetched: () => void,
): (event: NodeEvent) => void {
  return (event) => {
    if (event.type === 'import-progress') onFetched();
    if (event.type !== 'image-missing') onEvent(event);
  };
}

/** Links cost nothing, and end with the staging directory; a bundle directory is somebody's own, and gets copies. */
function ownSource(
  from: ArtifactStore | undefined,
  to: ArtifactStore,
  { form }: BundleTarget,
): readonly ArtifactSource[] {
  return from === undefined
    ? []
    : [createStoreSource({ from, to, linksBlobs: form !== 'directory' })];
}

async function planContents(options: CreateBundleOptions): Promise<{
  readonly artifacts: readonly ArtifactSpec[];
  readonly spec: ArtifactsSpec;
  readonly proxy: ProxySpec;
  readonly storeDir: string;
}> {
  const { role = 'controller' } = options;
  const references = readReferences(options.images);
  const artifacts: ArtifactSpec[] = [];
  const { architectures } = options;
  const scopes = await Promise.all(
    architectures.length === 0
      ? [resolveScope({ ...options, role })]
      : architectures.map((arch) => resolveScope({ ...options, role, arch })),
  );
  for (const scope of scopes) {
    artifacts.push(...withImages(scope.artifacts, references, scope.arch));
  }
  const [first] = scopes;
  if (first === undefined) throw new Error('no architecture');
  const { artifacts: spec, proxy } = first.config.spec;
  return { artifacts, spec, proxy, storeDir: first.paths.storeDir };
}

function withImages(
  artifacts: readonly ArtifactSpec[],
  references: readonly string[],
  arch: Architecture,
): readonly ArtifactSpec[] {
  const known = artifacts.flatMap((it) => (it.kind === 'image' ? [it.reference] : []));
  const more = [...new Set(references)].filter((reference) => !known.includes(reference));
  return [...artifacts, ...more.map((reference) => ({ kind: 'image' as const, reference, arch }))];
}

/** By their full names: those by which containerd looks for them. */
function readReferences(images: readonly string[]): readonly string[] {
  const errors: UserError[] = [];
  const references: string[] = [];
  for (const image of images) {
    const name = parseImageReference(image);
    if (name !== undefined) references.push(renderImageReference(name));
    else {
      errors.push(
        new UserError({
          what: `put image ${image} into the bundle`,
          why: 'that is no reference of an image',
          fix: 'write it like registry.example/team/web:1.2',
        }),
      );
    }
  }
  throwCollected(errors);
  return references;
}
