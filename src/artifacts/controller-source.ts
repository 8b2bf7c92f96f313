import { askServers } from './ask-servers.ts';
import { clearTemporary } from './blobs.ts';
import { type ControllerSourceOptions, openSession } from './controller-source-session.ts';
import { downloadEntries, type FoundArtifact } from './download-entries.ts';
import { type DownloadSession, orWithout } from './download-session.ts';
import {
  describeArtifact,
  type FetchedManifest,
  fetchManifest,
  listVersions,
  locateManifest,
} from './fetch-manifest.ts';
import { describeContent, entryContent } from './oci-documents.ts';
import type { OfferedManifest } from './registry-offer.ts';
import { pruneStore } from './store.ts';
import type { ArtifactSource, ArtifactSpec } from './types.ts';

/**
 * The cluster's controllers as a source: only what is lacking, each blob verified before it is visible. A download that
 * was cut goes on where it ended, from the same or another controller, in this process or the next.
 */
export function createControllerSource(options: ControllerSourceOptions): ArtifactSource {
  return {
    description: `controllers ${options.controllers.join(', ')}`,
    mayFail: true,
    provide: async (artifacts, signal) => {
      const session = openSession(options, signal);
      try {
        return await provide(session, artifacts, options.offered ?? []);
      } finally {
        for (const { connection } of session.asking.servers) connection.close();
      }
    },
  };
}

async function provide(
  session: DownloadSession,
  artifacts: readonly ArtifactSpec[],
  offered: readonly OfferedManifest[],
): Promise<readonly string[]> {
  const { store } = session;
  await clearTemporary(store.directory, () => true);
  const found: FoundArtifact[] = [];
  // Executables first: without them the node does not start, and then nothing needs an image.
  for (const artifact of artifacts.toSorted(executablesFirst)) {
    const fetched = await orWithout(session, artifact, () =>
      findArtifact(session, artifact, offered),
    );
    if (fetched !== undefined) found.push({ ...fetched, artifact, wanted: artifacts });
  }
  const missing = found.length === 0 ? [] : await downloadEntries(session, found);
  if (missing.length === 0 && found.length === artifacts.length) {
    await pruneStore(store);
    // What is left was begun for an earlier version.
    await clearTemporary(store.directory, () => false);
  }
  return [
    ...(await listContents(session, artifacts, found)),
    ...offered.map(({ name }) => `${name} (${artifacts[0]?.arch})`),
  ];
}

async function findArtifact(
  session: DownloadSession,
  artifact: ArtifactSpec,
  offered: readonly OfferedManifest[],
): Promise<FetchedManifest | undefined> {
  const { signal, asking } = session;
  const location = locateManifest(artifact, offered);
  if (location === undefined) return undefined;
  const what = `find ${describeArtifact(artifact)} at the controllers`;
  return await askServers(
    {
      what,
      rounds: session.rounds(artifact),
      isAbsentWhenOneSaysSo: true,
      ask: (server) => fetchManifest(artifact, location, { server, signal }),
    },
    asking,
  );
}

/** What the controllers have, for the message about what nobody has. */
async function listContents(
  { asking, signal }: DownloadSession,
  artifacts: readonly ArtifactSpec[],
  found: readonly FoundArtifact[],
): Promise<readonly string[]> {
  const contents = found.map(({ entry }) => describeContent(entryContent(entry)));
  const [server] = asking.servers;
  for (const artifact of artifacts) {
    const isFound = found.some((candidate) => candidate.artifact === artifact);
    if (artifact.kind === 'image' || isFound || server === undefined) continue;
    contents.push(...(await listVersions(artifact, { server, signal })));
  }
  return [...new Set(contents)];
}

function executablesFirst(a: ArtifactSpec, b: ArtifactSpec): number {
  return Number(a.kind === 'image') - Number(b.kind === 'image');
}
