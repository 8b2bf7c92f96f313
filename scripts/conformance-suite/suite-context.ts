import type { Architecture } from '../../src/artifacts/types.ts';
import { type BuildContext, once, unpackRoot } from '../components/build-context.ts';
import { ensureGoToolchain } from '../components/go-toolchain.ts';

/**
 * What all steps of one run share, as with the components: the cache is theirs, and the suite's entries begin with
 * `conformance-`. Debian's files are unpacked: a web server that starts by itself has no place on this machine.
 */
export interface SuiteContext extends Omit<BuildContext, 'plan' | 'ensureCompiler'> {
  readonly arch: Architecture;
}

export interface SuiteContextOptions extends Omit<SuiteContext, 'ensureGo' | 'ensureDebianRoot'> {
  /** For a Go tool chain of our own. */
  readonly cacheDirectory: string;
  /** Debian packages of all layers. */
  readonly packages: readonly string[];
}

export function createSuiteContext(options: SuiteContextOptions): SuiteContext {
  return {
    ...options,
    ensureGo: once(() => ensureGoToolchain(options)),
    ensureDebianRoot: once(() => unpackRoot('Debian packages for the images', options)),
  };
}
