import { throwCollected, UserError } from '../base/errors.ts';
import { askServers } from './ask-servers.ts';
import type { TrustSubject } from './bundle-trust.ts';
import { downloadEntries, type FoundArtifact } from './download-entries.ts';
import type { DownloadSession } from './download-session.ts';
import { describeArtifact, fetchManifest } from './fetch-manifest.ts';
import { wantedExecutables } from './needed-blobs.ts';
import { componentRepository, componentTag } from './registry-catalog.ts';
import type { ExecutableArtifact } from './types.ts';

export interface ComponentsInRegistry {
  /** In front of each repository: `mirror/`, or empty. */
  readonly prefix: string;
  /** Why executables may not be used, undefined when they may. */
  readonly refuse: (subject: TrustSubject) => string | undefined;
}

/**
 * Executables out of a registry, under the names by which controllers serve them: `mini-k8s/etcd:3.7.1-amd64`.
 * @throws UserError for what is there and may not be used, when everything else was taken.
 */
export async function provideComponents(
  session: DownloadSession,
  artifacts: readonly ExecutableArtifact[],
  { prefix, refuse }: ComponentsInRegistry,
): Promise<void> {
  const { asking, rounds, signal } = session;
  const found: FoundArtifact[] = [];
  const errors: UserError[] = [];
  for (const artifact of artifacts) {
    const repository = `${prefix}${componentRepository(artifact.name)}`;
    const location = { repository, query: '', version: componentTag(artifact) };
    const fetched = await askServers(
      {
        what: `find ${describeArtifact(artifact)}`,
        rounds: rounds(artifact),
        isAbsentWhenOneSaysSo: true,
        ask: (server) => fetchManifest(artifact, location, { server, signal }),
      },
      asking,
    );
    if (fetched === undefined) continue;
    const executables = wantedExecutables(fetched.entry, fetched.manifest, artifacts);
    const why = refuse({ entry: fetched.entry, executables });
    if (why === undefined) found.push({ ...fetched, artifact, wanted: artifacts });
    else errors.push(notTrusted(session, artifact, why));
  }
  if (found.length > 0) await downloadEntries(session, found);
  throwCollected(errors);
}

function notTrusted(
  session: DownloadSession,
  artifact: ExecutableArtifact,
  why: string,
): UserError {
  return new UserError({
    what: `take ${describeArtifact(artifact)} from ${session.sourceName()}`,
    why,
    fix: 'set spec.artifacts.trustMirror: true, if all who can write to that registry may run programs as root on every node',
  });
}
