import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Architecture } from '../../src/artifacts/types.ts';
import type { BuildPlan } from './build-plan.ts';
import type { ComponentCache } from './component-cache.ts';
import { type DebianRoot, ensurePackages, triplets, unpackForeignPackages } from './debian.ts';
import { ensureGoToolchain, type GoToolchain } from './go-toolchain.ts';
import { debianPackagesOf, hostArchitecture } from './image-files.ts';
import type { StepReporter } from './reporter.ts';

/** What all steps of one run share. Tools are looked for, and installed, only when a step asks for them. */
export interface BuildContext {
  readonly plan: BuildPlan;
  readonly cache: ComponentCache;
  readonly jobs: number;
  readonly reporter: StepReporter;
  readonly signal: AbortSignal;
  /** Removed at the end of the run. */
  readonly scratchDirectory: string;
  readonly ensureGo: () => Promise<GoToolchain>;
  /** A C compiler for the target architecture. */
  readonly ensureCompiler: () => Promise<void>;
  /** Debian's files for the target architecture. */
  readonly ensureDebianRoot: () => Promise<DebianRoot>;
}

export interface BuildContextOptions
  extends Pick<
    BuildContext,
    'plan' | 'cache' | 'jobs' | 'reporter' | 'signal' | 'scratchDirectory'
  > {
  /** For a Go tool chain of our own. */
  readonly cacheDirectory: string;
}

/** Debian packages that a C compiler for another architecture consists of, by that architecture. */
const crossCompilerPackages: Readonly<Record<Architecture, readonly string[]>> = {
  amd64: ['gcc-x86-64-linux-gnu', 'libc6-dev-amd64-cross'],
  arm64: ['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross'],
};

export function createBuildContext(options: BuildContextOptions): BuildContext {
  const { plan } = options;
  const isNative = plan.arch === hostArchitecture();
  return {
    ...options,
    ensureGo: once(async () => {
      await ensureCaCertificates(options);
      return await ensureGoToolchain(options);
    }),
    ensureCompiler: once(async () => {
      const compiler = isNative ? ['gcc', 'libc6-dev'] : crossCompilerPackages[plan.arch];
      await ensurePackages([...compiler, 'binutils', 'pkg-config'], options);
    }),
    ensureDebianRoot: once(() => (isNative ? useHostRoot(options) : unpackForeignRoot(options))),
  };
}

async function ensureCaCertificates(options: BuildContextOptions): Promise<void> {
  if (existsSync('/etc/ssl/certs/ca-certificates.crt')) return;
  await ensurePackages(['ca-certificates'], options);
}

async function useHostRoot(options: BuildContextOptions): Promise<DebianRoot> {
  const packages = await ensurePackages(packagesOf(options.plan), options);
  return { directory: '/', triplet: triplets[options.plan.arch], packages };
}

function unpackForeignRoot(options: BuildContextOptions): Promise<DebianRoot> {
  const { arch } = options.plan;
  const title = `Debian packages for ${arch}`;
  return unpackRoot(title, { ...options, arch, packages: packagesOf(options.plan) });
}

interface UnpackOptions extends Pick<BuildContext, 'reporter' | 'signal' | 'scratchDirectory'> {
  readonly arch: Architecture;
  readonly packages: readonly string[];
}

/** Debian's files of these packages and of what they need, below the scratch directory, as a step of that title. */
export async function unpackRoot(title: string, options: UnpackOptions): Promise<DebianRoot> {
  const { arch, packages, reporter, signal, scratchDirectory } = options;
  const found: DebianRoot[] = [];
  await reporter.step(title, async () => {
    const directory = path.join(scratchDirectory, 'debian');
    found.push(await unpackForeignPackages(packages, { arch, directory, signal }));
    return `${packages.length} and what they depend on`;
  });
  const [root] = found;
  if (root === undefined) throw new Error('No Debian root');
  return root;
}

/** Everything that this plan takes from Debian for its target, in one list: one apt call is enough then. */
function packagesOf(plan: BuildPlan): readonly string[] {
  const names = [
    ...plan.go.flatMap(({ recipe }) => recipe.cgoPackages ?? []),
    ...plan.images.flatMap(({ recipe }) => debianPackagesOf(recipe)),
  ];
  return [...new Set(names)].sort();
}

/** Makes it at the first call, for all of them. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
