import { throwCollected, UserError } from '../base/errors.ts';
import { UnreachableError } from './ask-servers.ts';
import { clearTemporary } from './blobs.ts';
import type { DownloadProgress } from './download-progress.ts';
import { runBounded } from './run-bounded.ts';
import { isDiskFull } from './server-answer.ts';
import { type ArtifactStore, pruneStore } from './store.ts';
import type { ArtifactSource, Descriptor } from './types.ts';
import { fetchFile } from './upstream-fetch.ts';
import { planUpstreamFiles, type WantedComponent, type WantedFile } from './upstream-files.ts';
import {
  openUpstreamSession,
  parallelFiles,
  sourceName,
  type UpstreamSession,
  type UpstreamSourceOptions,
} from './upstream-session.ts';
import { startUpstreamProgress } from './upstream-sizes.ts';
import { commitComponent, findFileLayers, findUpstreamLayers } from './upstream-store.ts';

/**
 * The files that the projects themselves publish, from their hosts or from a mirror of them: only those that hold a
 * wanted executable, and nothing whose sha256 is not the pinned one. A download that was cut goes on where it ended, in
 * this process or the next.
 */
export function createUpstreamSource(options: UpstreamSourceOptions): ArtifactSource {
  const { mirror } = options;
  return {
    description: mirror === undefined ? 'upstream' : `mirror ${mirror.base}`,
    mayFail: true,
    provide: async (artifacts, signal) => {
      const components = planUpstreamFiles(artifacts, options.catalog);
      const missing = await withoutStored(options.store, components);
      if (missing.length > 0) await provide(missing, options, signal);
      return components.map(({ name, version, arch }) => `${name} ${version} (${arch})`);
    },
  };
}

/** A component, and what of its files must be downloaded. */
interface MissingComponent extends WantedComponent {
  /** Of the files that need none. */
  readonly layers: readonly Descriptor[];
}

async function withoutStored(
  store: ArtifactStore,
  components: readonly WantedComponent[],
): Promise<readonly MissingComponent[]> {
  const missing: MissingComponent[] = [];
  for (const component of components) {
    const known = await findUpstreamLayers(store, component);
    const files: WantedFile[] = [];
    const layers: Descriptor[] = [];
    for (const file of component.files) {
      const found = await findFileLayers(store, file, known);
      if (found === undefined) files.push(file);
      else layers.push(...found);
    }
    missing.push({ ...component, files, layers });
  }
  return missing;
}

async function provide(
  components: readonly MissingComponent[],
  options: UpstreamSourceOptions,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock, onEvent } = options;
  const stop = new AbortController();
  const startedAt = clock.now();
  const session = openUpstreamSession(options, AbortSignal.any([signal, stop.signal]));
  const source = sourceName(options);
  try {
    await clearTemporary(store.directory, () => true);
    const files = components.flatMap((component) => component.files);
    const progress = await startUpstreamProgress(session, files, options);
    const results = await fetchAll(session, files, { progress, stop });
    for (const component of components) {
      const fetched = component.files.flatMap((file) => results.layers.get(file) ?? []);
      await commitComponent(store, component, [...component.layers, ...fetched]);
    }
    const blobs = [...results.layers.values()].flat().length;
    onEvent({ type: 'import-finished', source, blobs, elapsedMs: clock.now() - startedAt });
    signal.throwIfAborted();
    throwCollected(results.errors);
    await pruneStore(store);
  } finally {
    session.connection.close();
  }
}

interface Fetched {
  readonly layers: ReadonlyMap<WantedFile, readonly Descriptor[]>;
  readonly errors: readonly UserError[];
}

/**
 * Fetches all files. What is wrong with one file is that file's affair, and the others go on; that nothing can be
 * reached, or written, is everybody's.
 */
async function fetchAll(
  session: UpstreamSession,
  files: readonly WantedFile[],
  { progress, stop }: { readonly progress: DownloadProgress; readonly stop: AbortController },
): Promise<Fetched> {
  const layers = new Map<WantedFile, readonly Descriptor[]>();
  const errors: UserError[] = [];
  const fail = (error: unknown, file: WantedFile) => {
    // What others end with then is a consequence.
    if (stop.signal.aborted) return;
    const problem = isDiskFull(error) ? fullDisk(error, session.store, file) : error;
    if (isEverybodys(problem)) stop.abort(problem);
    if (!(problem instanceof UserError)) throw problem;
    errors.push(problem);
  };
  await runBounded(files, parallelFiles, async (file) => {
    if (stop.signal.aborted) return;
    try {
      layers.set(file, await fetchFile(session, file, progress));
    } catch (error) {
      fail(error, file);
    }
  });
  // Half a download is worth less than a machine that has room to write.
  if (errors.some(({ cause }) => isDiskFull(cause))) {
    await clearTemporary(session.store.directory, () => false);
  }
  return { layers, errors };
}

/** Not of one file: no connection, no room, or no error that anybody should meet. */
function isEverybodys(problem: unknown): boolean {
  if (!(problem instanceof UserError)) return true;
  return problem instanceof UnreachableError || isDiskFull(problem.cause);
}

function fullDisk(
  cause: unknown,
  { directory }: ArtifactStore,
  { description }: WantedFile,
): UserError {
  return new UserError({
    what: `download ${description}`,
    why: `the file system of ${directory} is full`,
    fix: 'free space there and start again',
    cause,
  });
}
