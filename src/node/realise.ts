import { chmod, chown, mkdir } from 'node:fs/promises';
import { ensureArtifacts } from '../artifacts/ensure-artifacts.ts';
import { type ArtifactStore, openStore } from '../artifacts/store.ts';
import type { ArtifactSource } from '../artifacts/types.ts';
import { ensureFile, fillSecrets } from '../base/files.ts';
import type { Clock } from '../base/time.ts';
import type { DirectorySpec } from '../components/types.ts';
import type { Paths } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import { ensureHostSettings } from '../host/ensure-host-settings.ts';
import { certificateStatuses } from '../pki/certificate-statuses.ts';
import { ensurePki } from '../pki/ensure-pki.ts';
import { artifactSources, takeRiders } from './artifact-sources.ts';
import { passClockGate } from './clock-gate.ts';
import { handOverCni } from './cni-handover.ts';
import type { NodeEvent } from './events.ts';
import { type CheckedBundle, checkBundle, type GivenBundle } from './given-bundle.ts';
import { readSecrets } from './plan-secrets.ts';
import type { NodePlan } from './plan-types.ts';
import { lastAddressFile } from './prepare.ts';
import { removeStaleRegistryFiles, requireOwnRegistryFiles } from './registry-files.ts';
import { reportStep } from './report-step.ts';

export interface RealiseMachineOptions {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly config: ClusterConfig;
  readonly onEvent: (event: NodeEvent) => void;
  readonly signal: AbortSignal;
}

export interface RealiseOptions extends RealiseMachineOptions {
  readonly bundle: CheckedBundle | undefined;
  /** Where components come from besides the bundle: a worker's controllers. */
  readonly moreSources?: (parts: SourceParts) => readonly ArtifactSource[];
}

export interface SourceParts {
  readonly store: ArtifactStore;
  readonly onEvent: (event: NodeEvent) => void;
}

/**
 * Makes everything of a plan true that is not a process: directories, executables, host settings, keys and
 * certificates, files. Every step is idempotent; after a kill at any point the next run completes it.
 */
export async function realisePlan(plan: NodePlan, options: RealiseOptions): Promise<void> {
  await realiseComponents(plan, options);
  await realiseMachine(plan, options);
}

/** The first half: directories and executables. */
export async function realiseComponents(plan: NodePlan, options: RealiseOptions): Promise<void> {
  await ensureDirectories(plan.directories);
  await reportStep('components', options.onEvent, () => realiseArtifacts(plan, options));
  options.signal.throwIfAborted();
}

/** The second half: what is not the components' own. */
export async function realiseMachine(
  plan: NodePlan,
  options: RealiseMachineOptions,
): Promise<void> {
  const { onEvent, signal } = options;
  await reportStep('machine settings', onEvent, () => realiseHost(plan, options));
  await reportStep('keys and certificates', onEvent, () => realisePki(plan, options));
  signal.throwIfAborted();
  await reportStep('configuration files', onEvent, () => realiseFiles(plan, options));
  await rememberAddress(plan, options.paths);
  await handOverCni(plan, options.paths);
}

/** What a running node makes true of another plan: what the old one had is not touched again. */
export async function realiseAgain(
  plan: NodePlan,
  before: NodePlan,
  options: RealiseMachineOptions & GivenBundle,
): Promise<void> {
  const differs = (part: (of: NodePlan) => unknown) =>
    JSON.stringify(part(plan)) !== JSON.stringify(part(before));
  await ensureDirectories(plan.directories);
  if (differs(({ artifacts, images }) => [artifacts, images])) {
    const bundle = await checkBundle(options, options.signal, { arch: plan.arch });
    await realiseArtifacts(plan, { ...options, bundle });
  }
  if (differs(({ hostSettings }) => hostSettings)) await realiseHost(plan, options);
  if (differs(({ pki }) => pki)) await realisePki(plan, options);
  await realiseFiles(plan, options);
}

/** Where changes of the machine are recorded, for `reset`. */
export function hostRecordFile(paths: Paths): string {
  return `${paths.stateDir}/host-settings.json`;
}

async function realiseHost(
  plan: NodePlan,
  { paths, onEvent }: RealiseMachineOptions,
): Promise<void> {
  await ensureHostSettings(plan.hostSettings, { recordFile: hostRecordFile(paths), onEvent });
}

async function realiseArtifacts(plan: NodePlan, options: RealiseOptions): Promise<void> {
  const { onEvent, signal } = options;
  const store = await openStore(options.paths.storeDir);
  const takesAll = plan.servedArtifacts !== undefined;
  const parts = { ...options, store, takesAll, ridersFor: plan.arch };
  await ensureArtifacts([...plan.artifacts, ...plan.images], {
    store,
    sources: artifactSources({
      ...parts,
      spec: options.config.spec.artifacts,
      proxy: options.config.spec.proxy,
      controllers: options.moreSources?.({ store, onEvent }) ?? [],
    }),
    forOthers: plan.servedArtifacts ?? [],
    onEvent,
    signal,
  });
  await takeRiders(parts, signal);
  if (plan.unpackedStacks !== undefined) {
    const { unpackStacks } = await import('./unpack-stacks.ts');
    await unpackStacks({ ...plan.unpackedStacks, store, onEvent });
  }
}

async function realisePki(plan: NodePlan, options: RealiseMachineOptions): Promise<void> {
  const { clock, onEvent, signal } = options;
  const readStatuses = () => certificateStatuses(plan.pki, clock);
  await passClockGate({ clock, onEvent, signal, readStatuses });
  await ensurePki(plan.pki, { clock, onEvent });
}

/** For a later start without a network. */
async function rememberAddress(plan: NodePlan, paths: Paths): Promise<void> {
  const content = `${plan.nodeAddress}\n`;
  await ensureFile({ path: lastAddressFile(paths), content, mode: 0o600, uid: 0, gid: 0 });
}

/** Makes directories with mode and owner, also where they exist already. */
export async function ensureDirectories(directories: readonly DirectorySpec[]): Promise<void> {
  for (const directory of directories) {
    await mkdir(directory.path, { recursive: true, mode: directory.mode });
    await chmod(directory.path, directory.mode);
    await chown(directory.path, directory.uid, directory.gid);
  }
}

async function realiseFiles(plan: NodePlan, options: RealiseMachineOptions): Promise<void> {
  const secretOf = await readSecrets(plan, options.config);
  await requireOwnRegistryFiles(plan);
  await removeStaleRegistryFiles(plan);
  for (const file of plan.files) {
    const content = fillSecrets(file.content, secretOf);
    const change = await ensureFile({ ...file, content });
    if (change !== 'unchanged') options.onEvent({ type: 'file-written', path: file.path, change });
  }
}
