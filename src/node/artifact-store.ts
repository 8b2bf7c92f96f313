import { ensureArtifacts } from '../artifacts/ensure-artifacts.ts';
import {
  type ExecutableState,
  findStore,
  type ImageState,
  inspectExecutables,
  inspectImages,
} from '../artifacts/inspect-store.ts';
import { isArchitecture } from '../artifacts/oci-documents.ts';
import { type PrunedStore, pruneOld } from '../artifacts/prune-old.ts';
import { type ArtifactStore, discardBlobs, openStore, verifyStore } from '../artifacts/store.ts';
import type { Architecture, ArtifactSpec } from '../artifacts/types.ts';
import { UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import { artifactSources, takeRiders } from './artifact-sources.ts';
import { type ConfigSourceOptions, readConfig } from './config-sources.ts';
import type { NodeEvent } from './events.ts';
import { checkBundle, type GivenBundle } from './given-bundle.ts';
import { gatherHostFacts } from './host-facts.ts';
import { describeHolder, tryLock } from './lock.ts';
import { readMembership } from './membership.ts';
import { planArtifacts } from './plan.ts';
import type { NodeRole } from './plan-types.ts';
import { lastAddressFile } from './prepare.ts';
import { reportStep } from './report-step.ts';
import { inspectMember } from './worker-config.ts';

/** Which artifacts a command is about. */
export interface ArtifactScope extends ConfigSourceOptions {
  readonly dataDir?: string;
  /** `controller` or `worker`; what this machine is, when left out, and else a controller. */
  readonly role?: string;
  /** `amd64` or `arm64`; this machine's, when left out. */
  readonly arch?: string;
}

/** What the scope needs, and what the store has of it. Changes nothing. */
export async function listArtifacts(scope: ArtifactScope): Promise<readonly ExecutableState[]> {
  const { paths, artifacts } = await resolveScope(scope);
  return inspectExecutables(await findStore(paths.storeDir), artifacts);
}

/** The images of the scope and whatever else the store has. Changes nothing. */
export async function listImages(scope: ArtifactScope): Promise<readonly ImageState[]> {
  const { paths, artifacts } = await resolveScope(scope);
  return inspectImages(await findStore(paths.storeDir), artifacts);
}

/** Somebody waits for the images, and a node that starts later may have no network. */
const registryRounds = 3;

export interface FetchOptions extends ArtifactScope, GivenBundle {
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
}

/**
 * Puts what the scope needs into the store, for a later start without a network.
 * @throws UserError while a node runs, or for what no source has.
 */
export async function fetchArtifacts(options: FetchOptions, signal: AbortSignal): Promise<void> {
  const { paths, config, arch, artifacts } = await resolveScope(options);
  const bundle = await checkBundle(options, signal, { arch });
  await withStore(paths, 'fetch artifacts', async (store) => {
    const { onEvent } = options;
    const { artifacts: spec, proxy } = config.spec;
    const parts = { ...options, bundle, store, ridersFor: arch };
    const registries = { rounds: registryRounds };
    const sources = artifactSources({ ...parts, spec, proxy, registries, controllers: [] });
    await reportStep('components', onEvent, async () => {
      await ensureArtifacts(artifacts, { store, sources, onEvent, signal, isStoreOnly: true });
      await takeRiders(parts, signal);
    });
  });
}

export interface StoreReport {
  readonly storeDir: string;
  readonly elapsedMs: number;
  /** What is wrong, as a person reads it. */
  readonly problems: readonly string[];
  /** Whether they were removed, for the next start or fetch to get them again. */
  readonly isRepaired: boolean;
}

/** Reads everything in the store and compares it with its digest. */
export async function verifyArtifacts(
  options: { readonly dataDir?: string; readonly wantsRepair: boolean },
  signal: AbortSignal,
): Promise<StoreReport> {
  const { storeDir } = pathsFor(options);
  const startedAt = performance.now();
  const store = await findStore(storeDir);
  const problems = store === undefined ? [] : await verifyStore(store, signal);
  if (options.wantsRepair) await discardBlobs(problems);
  return {
    storeDir,
    elapsedMs: performance.now() - startedAt,
    problems: problems.map(({ path, why }) => `${path}: ${why}`),
    isRepaired: options.wantsRepair && problems.length > 0,
  };
}

/**
 * Removes from the store what this release does not use.
 * @throws UserError while a node runs.
 */
export async function pruneArtifacts(options: { readonly dataDir?: string }): Promise<PrunedStore> {
  const paths = pathsFor(options);
  if ((await findStore(paths.storeDir)) === undefined) return { removed: [], freedBytes: 0 };
  return withStore(paths, 'prune artifacts', pruneOld);
}

/** Has the store to itself: a node that starts meanwhile would take blobs that go, or add what is not seen. */
async function withStore<T>(
  paths: Paths,
  what: string,
  work: (store: ArtifactStore) => Promise<T>,
): Promise<T> {
  const lock = await tryLock(paths);
  if (lock === undefined) {
    throw new UserError({
      what,
      why: `${await describeHolder(paths)} is running`,
      fix: 'stop it first: a running node has what it needs',
    });
  }
  try {
    return await work(await openStore(paths.storeDir));
  } finally {
    await lock.release();
  }
}

/** @throws UserError for a role or an architecture that there is not, and for a wrong configuration. */
export async function resolveScope(scope: ArtifactScope): Promise<{
  readonly paths: Paths;
  readonly config: ClusterConfig;
  readonly arch: Architecture;
  readonly artifacts: readonly ArtifactSpec[];
}> {
  const paths = pathsFor(scope);
  const member = await readMembership(paths);
  const role = requireRole(scope.role ?? (member === undefined ? 'controller' : 'worker'));
  const config =
    member === undefined ? await readConfig(scope) : (await inspectMember(member, scope)).config;
  const facts = await gatherHostFacts({ lastAddressFile: lastAddressFile(paths) });
  const arch = requireArchitecture(scope.arch ?? facts.arch);
  const artifacts = planArtifacts(role, { config, host: { ...facts, arch }, paths });
  return { paths, config, arch, artifacts };
}

function requireRole(text: string): NodeRole {
  if (text === 'controller' || text === 'worker') return text;
  throw unknownWord('role', text, 'controller or worker');
}

function requireArchitecture(text: string): Architecture {
  if (isArchitecture(text)) return text;
  throw unknownWord('arch', text, 'amd64 or arm64');
}

function unknownWord(option: string, text: string, words: string): UserError {
  return new UserError({
    what: `use --${option} ${text}`,
    why: `there is no such ${option === 'arch' ? 'architecture' : option} here`,
    fix: `give --${option} ${words}`,
  });
}
