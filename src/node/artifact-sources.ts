import { readFile } from 'node:fs/promises';
import { type BundleOptions, createBundleSource } from '../artifacts/bundle.ts';
import { upstreamComponent } from '../artifacts/catalog.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import type { Architecture, ArtifactSource } from '../artifacts/types.ts';
import type { UpstreamMirror } from '../artifacts/upstream-session.ts';
import { createUpstreamSource } from '../artifacts/upstream-source.ts';
import { errorMessage, UserError } from '../base/errors.ts';
import { proxySettingsFrom } from '../base/proxy-settings.ts';
import type { Clock } from '../base/time.ts';
import { proxyVariables } from '../config/proxy-variables.ts';
import type { ArtifactsSpec, ProxySpec } from '../config/types.ts';
import { dialOutside, fullPatience, mirrorPatience, type Patience } from './dial-outside.ts';
import type { NodeEvent } from './events.ts';
import type { CheckedBundle } from './given-bundle.ts';
import type { RegistryAccess } from './registry-sources.ts';

export interface ArtifactSourcesOptions {
  readonly spec: ArtifactsSpec;
  readonly proxy: ProxySpec;
  readonly store: ArtifactStore;
  readonly bundle?: CheckedBundle | undefined;
  /** Take what rides along in the bundle for nodes of this architecture too. */
  readonly ridersFor?: Architecture;
  /** The bundle is taken as a whole, also what is for others. */
  readonly takesAll?: boolean;
  /** How the registries of images are spoken with, where that is said. */
  readonly registries?: RegistryAccess;
  /** A worker's; none on a controller. */
  readonly controllers: readonly ArtifactSource[];
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
  /** For tests. */
  readonly mirrorPatience?: Patience;
}

/** Where executables and images come from, in order: bundle, mirror, controllers, upstream, registries. */
export function artifactSources(options: ArtifactSourcesOptions): readonly ArtifactSource[] {
  const { spec } = options;
  const bundle = bundleOptions(options);
  const given = bundle === undefined ? [] : [createBundleSource(bundle)];
  return [
    ...given,
    ...(spec.mirror === '' ? [] : [mirrorSource(spec, options)]),
    ...options.controllers,
    ...(spec.upstream.enabled ? [upstreamSource(options), registriesSource(options)] : []),
  ];
}

/** How the bundle is read; undefined when none was given. */
function bundleOptions(
  options: Pick<ArtifactSourcesOptions, 'bundle' | 'store' | 'takesAll' | 'ridersFor' | 'onEvent'>,
): BundleOptions | undefined {
  const { bundle, store, onEvent, takesAll = false, ridersFor } = options;
  if (bundle === undefined) return undefined;
  return { ...bundle, store, onEvent, takesAll, ...(ridersFor === undefined ? {} : { ridersFor }) };
}

/** What rides along in the bundle comes into the store, also when nothing else was lacking. */
export async function takeRiders(
  options: Parameters<typeof bundleOptions>[0] & { readonly ridersFor: Architecture },
  signal: AbortSignal,
): Promise<void> {
  const bundle = bundleOptions(options);
  const index = options.bundle?.index;
  if (bundle === undefined || index === undefined) return;
  const { importRiders } = await import('../artifacts/import-riders.ts');
  await importRiders({ ...bundle, index, ridersFor: options.ridersFor }, signal);
}

function mirrorSource(spec: ArtifactsSpec, options: ArtifactSourcesOptions): ArtifactSource {
  return {
    description: `mirror ${spec.mirror}`,
    mayFail: true,
    provide: async (artifacts, signal) => {
      const credentials = await readCredentials(spec.credentialsFile);
      const source = await mirrorOf(spec, credentials, options);
      return await source.provide(artifacts, signal);
    },
  };
}

async function mirrorOf(
  spec: ArtifactsSpec,
  credentials: string | undefined,
  options: ArtifactSourcesOptions,
): Promise<ArtifactSource> {
  const { mirror, ca } = spec;
  if (/^oci/.test(mirror)) {
    const { registryMirrorSource } = await import('./registry-sources.ts');
    const patience = options.mirrorPatience ?? mirrorPatience;
    return registryMirrorSource(spec, credentials, { ...options, ca, patience });
  }
  const authorization =
    credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`;
  return filesSource(options, { base: mirror, authorization });
}

/**
 * How long a mirror of upstream's files is waited for. One that nobody stands in for may come up with the machine, and
 * is waited for as upstream is. Pure.
 */
export function patienceWithFilesMirror(
  options: Pick<ArtifactSourcesOptions, 'spec' | 'controllers' | 'mirrorPatience'>,
): Patience {
  const { spec, controllers } = options;
  const isReplaceable = controllers.length > 0 || spec.upstream.enabled;
  return isReplaceable ? (options.mirrorPatience ?? mirrorPatience) : fullPatience;
}

/** Images; the code is loaded when one is lacking. */
function registriesSource(options: ArtifactSourcesOptions): ArtifactSource {
  return {
    description: 'registries',
    mayFail: true,
    provide: async (artifacts, signal) => {
      if (!artifacts.some(({ kind }) => kind === 'image')) return [];
      const { upstreamRegistriesSource } = await import('./registry-sources.ts');
      const { ca } = options.spec;
      const source = upstreamRegistriesSource(options.registries ?? {}, { ...options, ca });
      return await source.provide(artifacts, signal);
    },
  };
}

function upstreamSource(options: ArtifactSourcesOptions): ArtifactSource {
  return {
    description: 'upstream',
    mayFail: true,
    provide: async (artifacts, signal) => filesSource(options).provide(artifacts, signal),
  };
}

/** Made only when something is lacking: only then it matters that a proxy's address or a file is wrong. */
function filesSource(options: ArtifactSourcesOptions, mirror?: UpstreamMirror): ArtifactSource {
  const { spec, store, onEvent, clock } = options;
  const proxy = proxySettingsFrom(proxyVariables(options.proxy));
  const patience = mirror === undefined ? fullPatience : patienceWithFilesMirror(options);
  return createUpstreamSource({
    ...{ catalog: upstreamComponent, mirror, store, onEvent, clock },
    authorities: spec.ca === '' ? undefined : spec.ca,
    dial: dialOutside(proxy, patience),
    random: Math.random,
    timing: { firstByteMs: patience.firstByteMs },
  });
}

async function readCredentials(file: string): Promise<string | undefined> {
  if (file === '') return undefined;
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new UserError({
      what: 'read the credentials of the mirror',
      why: errorMessage(error),
      fix: 'write user:password into the file, or take spec.artifacts.credentialsFile back',
      cause: error,
    });
  }
}
