import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isComponentName } from '../../src/artifacts/catalog.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import { errorCode } from '../../src/base/errors.ts';
import { createBuildContext } from './build-context.ts';
import { acquireBuildLock } from './build-lock.ts';
import { type BuildPlan, planBuild } from './build-plan.ts';
import { provideComponent, provideImage } from './build-steps.ts';
import {
  type ComponentCache,
  createTemporaryDirectory,
  entryDirectory,
  linkOrCopy,
  removeAbandoned,
} from './component-cache.ts';
import { formatBytes, type StepReporter } from './reporter.ts';
import {
  type BuiltComponent,
  type BuiltImage,
  type WrittenBundle,
  writeBundle,
} from './write-bundle.ts';

export interface BuildAllOptions {
  readonly arch: Architecture;
  readonly only: readonly string[];
  /** Where the bundle goes; default: `bundle` in the cache, and none when `only` leaves something out. */
  readonly out: string | undefined;
  readonly jobs: number;
  /** `${XDG_CACHE_HOME:-~/.cache}/mini-k8s`. */
  readonly cacheDirectory: string;
  /** scripts/components. */
  readonly sourceDirectory: string;
  readonly reporter: StepReporter;
  readonly signal: AbortSignal;
}

/** Builds what is not in the cache, and puts executables, bundle and test images where their users look. */
export async function buildAll(options: BuildAllOptions): Promise<WrittenBundle | undefined> {
  const { arch, cacheDirectory, reporter } = options;
  const plan = await planBuild(options);
  const cache = { directory: path.join(cacheDirectory, 'components', arch) };
  const lock = await acquireBuildLock({
    directory: cache.directory,
    onWait: () => reporter.note('waiting for another build to finish'),
    signal: options.signal,
  });
  try {
    await removeAbandoned(cache);
    return await buildPlanned(plan, cache, options);
  } finally {
    lock.close();
  }
}

async function buildPlanned(
  plan: BuildPlan,
  cache: ComponentCache,
  options: BuildAllOptions,
): Promise<WrittenBundle | undefined> {
  const scratchDirectory = await createTemporaryDirectory(cache);
  try {
    const context = createBuildContext({ ...options, plan, cache, scratchDirectory });
    const components: BuiltComponent[] = [];
    for (const planned of plan.go) components.push(await provideComponent(planned, context));
    const images: BuiltImage[] = [];
    for (const planned of plan.images) {
      images.push(await provideImage(planned, components, context));
    }
    await linkExecutables(components, cache, plan);
    await linkTestImages(plan, cache);
    return await bundle({ ...options, plan, cache, components, images });
  } finally {
    await rm(scratchDirectory, { recursive: true, force: true });
  }
}

/** `<cache>/bin/<executable>`; a complete run also removes what is not built any more. */
async function linkExecutables(
  components: readonly BuiltComponent[],
  cache: ComponentCache,
  plan: BuildPlan,
): Promise<void> {
  const bin = path.join(cache.directory, 'bin');
  await removeIfLink(bin);
  await mkdir(bin, { recursive: true });
  const executables = components.flatMap((component) => component.executables);
  for (const { name, file } of executables) await linkOrCopy(file, path.join(bin, name));
  if (!plan.isComplete) return;
  const names = new Set(executables.map(({ name }) => name));
  for (const name of await readdir(bin)) {
    if (!names.has(name)) await rm(path.join(bin, name), { recursive: true, force: true });
  }
}

/** A link would lead the executables into somebody else's directory. */
async function removeIfLink(file: string): Promise<void> {
  const found = await lstat(file).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found?.isSymbolicLink() === true) await rm(file);
}

/** `<cache>/test-bundle/<image>.tar`, for end-to-end tests. */
async function linkTestImages(plan: BuildPlan, cache: ComponentCache): Promise<void> {
  const directory = path.join(cache.directory, 'test-bundle');
  await mkdir(directory, { recursive: true });
  for (const { recipe, key } of plan.images) {
    if (recipe.testReference === undefined) continue;
    const archive = `${recipe.name}.tar`;
    await linkOrCopy(path.join(entryDirectory(cache, key), archive), path.join(directory, archive));
  }
}

interface BundleInputs extends BuildAllOptions {
  readonly plan: BuildPlan;
  readonly cache: ComponentCache;
  readonly components: readonly BuiltComponent[];
  readonly images: readonly BuiltImage[];
}

/** Components of the catalog, and images of the catalog: not those of tests, nor what is inside an image. */
async function bundle(inputs: BundleInputs): Promise<WrittenBundle | undefined> {
  const { plan, cache, reporter } = inputs;
  if (!plan.isComplete && inputs.out === undefined) return undefined;
  const directory = inputs.out ?? path.join(cache.directory, 'bundle');
  const isTestImage = new Map<string, boolean>(
    plan.images.map(({ recipe }) => [recipe.name, recipe.testReference !== undefined]),
  );
  const content = {
    arch: plan.arch,
    components: inputs.components.filter(({ name }) => isComponentName(name)),
    images: inputs.images.filter(({ name }) => isTestImage.get(name) === false),
  };
  const startedAt = performance.now();
  const written = await writeBundle(content, directory);
  if (written.isNew) {
    reporter.done('bundle', performance.now() - startedAt, formatBytes(written.sizeBytes));
  } else reporter.cached('bundle');
  return written;
}
