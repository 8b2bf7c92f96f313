import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { hashFile } from '../../src/artifacts/blobs.ts';
import { buildAll } from '../components/build-all.ts';
import { acquireBuildLock } from '../components/build-lock.ts';
import {
  type ComponentCache,
  createTemporaryDirectory,
  removeAbandoned,
} from '../components/component-cache.ts';
import { hostArchitecture } from '../components/image-files.ts';
import type { StepReporter } from '../components/reporter.ts';
import { type BuiltProgram, provideProgram } from './build-program.ts';
import { provideBusybox } from './busybox.ts';
import { requireUpstreamImages } from './image-manifest.ts';
import { type BuiltLayer, type LayerInputs, packagesOf, provideLayer } from './provide-layer.ts';
import { createSuiteContext, type SuiteContext } from './suite-context.ts';
import { imageConfig, suiteImages } from './suite-images.ts';
import { type SuiteLayer, suiteLayers } from './suite-layers.ts';
import { suitePrograms } from './suite-programs.ts';
import { writeSuiteBundle } from './write-suite-bundle.ts';

/** Everything that a conformance run needs beside mini-k8s itself. */
export interface ConformanceSuite {
  /** Host paths. */
  readonly e2eTest: string;
  readonly ginkgo: string;
  readonly kubectl: string;
  /** An OCI layout directory that `--bundle` takes: the components' bundle's content and the suite's images riding along. */
  readonly bundle: string;
  /** Of its index.json, in hex: what `--trust-bundle` takes. */
  readonly bundleSha256: string;
}

export interface ProvideSuiteOptions {
  /** `${XDG_CACHE_HOME:-~/.cache}/mini-k8s`. */
  readonly cacheDirectory: string;
  readonly reporter: StepReporter;
  /** Actions of the Go tool at the same time; default: the number of processors. */
  readonly jobs?: number;
  readonly signal: AbortSignal;
}

/**
 * Builds what is not in the cache of the components, the suite and its images, for this machine's architecture.
 * @throws UserError that names the module, package or tool that is to blame.
 */
export async function provideSuite(options: ProvideSuiteOptions): Promise<ConformanceSuite> {
  const { cacheDirectory, reporter, signal } = options;
  const arch = hostArchitecture();
  const jobs = options.jobs ?? availableParallelism();
  const components = await buildAll({
    ...{ arch, jobs, cacheDirectory, reporter, signal, only: [], out: undefined },
    sourceDirectory: path.join(import.meta.dirname, '..', 'components'),
  });
  if (components === undefined) throw new Error('No bundle of the components');
  const cache = { directory: path.join(cacheDirectory, 'components', arch) };
  const lock = await acquireBuildLock({
    directory: cache.directory,
    onWait: () => reporter.note('waiting for another build to finish'),
    signal,
  });
  try {
    await removeAbandoned(cache);
    const scratchDirectory = await createTemporaryDirectory(cache);
    try {
      const packages = packagesOf(Object.values(suiteLayers));
      const context = createSuiteContext({
        ...{ arch, jobs, cacheDirectory, reporter, signal, cache, scratchDirectory, packages },
      });
      return await provideAll(components.directory, context);
    } finally {
      await rm(scratchDirectory, { recursive: true, force: true });
    }
  } finally {
    lock.close();
  }
}

async function provideAll(components: string, context: SuiteContext): Promise<ConformanceSuite> {
  const { cache, arch } = context;
  await requireUpstreamImages(context);
  const programs: BuiltProgram[] = [];
  for (const program of suitePrograms) programs.push(await provideProgram(program, context));
  const inputs: LayerInputs = {
    programs,
    busybox: await provideBusybox(context),
    etcd: await findEtcd(cache),
  };
  const layers = new Map<SuiteLayer, BuiltLayer>();
  for (const layer of Object.values(suiteLayers)) {
    layers.set(layer, await provideLayer(layer, inputs, context));
  }
  const images = suiteImages.map((image) => ({
    reference: image.reference,
    layers: image.layers.flatMap((layer) => layers.get(layer) ?? []),
    config: imageConfig(image),
  }));
  const bundle = path.join(cache.directory, 'conformance-bundle');
  return {
    e2eTest: fileOf('e2e.test', programs),
    ginkgo: fileOf('ginkgo', programs),
    kubectl: path.join(cache.directory, 'bin', 'kubectl'),
    bundle,
    bundleSha256: await writeSuiteBundle({ arch, components, images }, bundle),
  };
}

async function findEtcd(cache: ComponentCache): Promise<LayerInputs['etcd']> {
  const file = path.join(cache.directory, 'bin', 'etcd');
  return { file, digest: (await hashFile(file)).digest };
}

function fileOf(name: BuiltProgram['name'], programs: readonly BuiltProgram[]): string {
  const found = programs.find((program) => program.name === name);
  if (found === undefined) throw new Error(`${name} is not built`);
  return found.file;
}
