import { readFile } from 'node:fs/promises';
import { createBundleSource } from '../artifacts/bundle.ts';
import { upstreamComponent } from '../artifacts/catalog.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import type { ArtifactSource } from '../artifacts/types.ts';
import type { UpstreamMirror } from '../artifacts/upstream-session.ts';
import { createUpstreamSource } from '../artifacts/upstream-source.ts';
import { dialTcp } from '../base/dial.ts';
import { errorMessage, UserError } from '../base/errors.ts';
import { proxySettingsFrom } from '../base/proxy-settings.ts';
import type { Clock } from '../base/time.ts';
import { proxyVariables } from '../config/proxy-variables.ts';
import type { ArtifactsSpec, ProxySpec } from '../config/types.ts';
import type { NodeEvent } from './events.ts';

export interface ArtifactSourcesOptions {
  readonly spec: ArtifactsSpec;
  readonly proxy: ProxySpec;
  readonly store: ArtifactStore;
  readonly bundle?: string;
  readonly trustBundle?: string;
  /** The bundle is taken as a whole, also what is for others. */
  readonly takesAll?: boolean;
  /** A worker's; none on a controller. */
  readonly controllers: readonly ArtifactSource[];
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
}

/** For a name, TCP and the answer of a proxy, milliseconds. */
const dialTimeoutMs = 10_000;

/** Where executables and images come from, in order: bundle, mirror, controllers, upstream. */
export function artifactSources(options: ArtifactSourcesOptions): readonly ArtifactSource[] {
  const { spec, store, onEvent, bundle, trustBundle, takesAll = false } = options;
  const given =
    bundle === undefined
      ? []
      : [
          createBundleSource({
            ...{ path: bundle, store, onEvent, takesAll },
            ...(trustBundle === undefined ? {} : { trustBundle }),
          }),
        ];
  return [
    ...given,
    ...(spec.mirror === '' ? [] : [mirrorSource(spec, options)]),
    ...options.controllers,
    ...(spec.upstream.enabled ? [upstreamSource(options)] : []),
  ];
}

function mirrorSource(spec: ArtifactsSpec, options: ArtifactSourcesOptions): ArtifactSource {
  return {
    description: `mirror ${spec.mirror}`,
    mayFail: true,
    provide: async (artifacts, signal) => {
      const authorization = await readAuthorization(spec.credentialsFile);
      const source = filesSource(options, { base: spec.mirror, authorization });
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
  return createUpstreamSource({
    ...{ catalog: upstreamComponent, mirror, store, onEvent, clock },
    authorities: spec.ca === '' ? undefined : spec.ca,
    dial: (address, signal) => dialTcp({ ...address, proxy, timeoutMs: dialTimeoutMs }, signal),
    random: Math.random,
  });
}

async function readAuthorization(file: string): Promise<string | undefined> {
  if (file === '') return undefined;
  try {
    const credentials = (await readFile(file, 'utf8')).trim();
    return `Basic ${Buffer.from(credentials).toString('base64')}`;
  } catch (error) {
    throw new UserError({
      what: 'read the credentials of the mirror',
      why: errorMessage(error),
      fix: 'write user:password into the file, or take spec.artifacts.credentialsFile back',
      cause: error,
    });
  }
}
