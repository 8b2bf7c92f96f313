import path from 'node:path';
import type { Architecture } from '../../src/artifacts/types.ts';
import type { ComponentCache } from '../components/component-cache.ts';
import { type DebianRoot, unpackForeignPackages } from '../components/debian.ts';
import { ensureGoToolchain, type GoToolchain } from '../components/go-toolchain.ts';
import type { StepReporter } from '../components/reporter.ts';

/** What all steps of one run share. Tools and packages are looked for only when a step asks for them. */
export interface SuiteContext {
  readonly arch: Architecture;
  /** That of the components: the suite's entries begin with `conformance-`. */
  readonly cache: ComponentCache;
  readonly jobs: number;
  readonly reporter: StepReporter;
  readonly signal: AbortSignal;
  /** Removed at the end of the run. */
  readonly scratchDirectory: string;
  readonly ensureGo: () => Promise<GoToolchain>;
  /** Debian's files for the images, unpacked: a web server that starts by itself has no place on this machine. */
  readonly ensureDebianRoot: () => Promise<DebianRoot>;
}

export interface SuiteContextOptions extends Omit<SuiteContext, 'ensureGo' | 'ensureDebianRoot'> {
  /** For a Go tool chain of our own. */
  readonly cacheDirectory: string;
  /** Debian packages of all layers. */
  readonly packages: readonly string[];
}

export function createSuiteContext(options: SuiteContextOptions): SuiteContext {
  let go: Promise<GoToolchain> | undefined;
  let root: Promise<DebianRoot> | undefined;
  return {
    ...options,
    ensureGo: () => {
      go ??= ensureGoToolchain(options);
      return go;
    },
    ensureDebianRoot: () => {
      root ??= unpackRoot(options);
      return root;
    },
  };
}

async function unpackRoot(options: SuiteContextOptions): Promise<DebianRoot> {
  const { arch, packages, reporter, signal, scratchDirectory } = options;
  const found: DebianRoot[] = [];
  await reporter.step('Debian packages for the images', async () => {
    const directory = path.join(scratchDirectory, 'debian');
    found.push(await unpackForeignPackages(packages, { arch, directory, signal }));
    return `${packages.length} and what they depend on`;
  });
  const [root] = found;
  if (root === undefined) throw new Error('No Debian root');
  return root;
}
